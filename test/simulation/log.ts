import type { Logger } from 'pino';
import type { Trace } from './trace.ts';

/** What a replica says of the faults that it is put through. */
const EXPECTED = /the connection was lost|no answer in time|clock/;

/**
 * A logger that writes what went wrong into the trace, drops the rest, and complains of
 * failures that no fault explains.
 */
export function logInto(
  trace: Trace,
  name: string,
  complain: (what: string) => void = () => {},
): Logger {
  const write =
    (level: string) =>
    (facts: unknown, message?: string): void => {
      const what = typeof facts === 'string' ? facts : (message ?? '');
      trace.note(`${name} ${level}: ${what}`);
      const { err, cause } = (typeof facts === 'object' ? (facts ?? {}) : {}) as {
        err?: unknown;
        cause?: unknown;
      };
      // Of an agent: the receipt was paid, and what it was told of that cannot be true.
      if (what.startsWith('the settlement does not hold'))
        complain(`${name}: ${what}: ${textOf(facts)}`);
      if (err === undefined && cause === undefined) return;
      const text = textOf(err ?? cause);
      trace.comment(text);
      if (err !== undefined && !EXPECTED.test(text)) complain(`${name}: ${what}: ${text}`);
    };
  const silent = (): void => {};
  const log = {
    level: 'warn',
    fatal: write('fatal'),
    error: write('error'),
    warn: write('warn'),
    info: silent,
    debug: silent,
    trace: silent,
    child: () => log,
  };
  return log as unknown as Logger;
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : JSON.stringify(cause);
}
