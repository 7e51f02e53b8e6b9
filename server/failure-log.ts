// What fails in the background is one line in the log. Where the database is away it is said without its
// stack, as a warning, and once a minute: everything says so, again and again, until it is back.
import type { Logger } from 'pino';
import { RpcError } from './rpc/error.ts';

/** Of what was being done when it failed, and why. */
export type OnError = (doing: string, cause: unknown) => void;

/** As often an outage is told again, of each thing that could not be done. */
const REPEAT_MS = 60_000;

interface Told {
  readonly atMs: number;
  unlisted: number;
}

/** `count` is called for each failure; `now` answers Unix milliseconds. */
export function failureLog(log: Logger, count: () => void, now: () => number): OnError {
  const told = new Map<string, Told>();

  /** How many of the kind were passed over since the last line; null where this one is, too. */
  function unlistedBefore(kind: string): number | null {
    const last = told.get(kind);
    const nowMs = now();
    if (last !== undefined && nowMs - last.atMs < REPEAT_MS && nowMs >= last.atMs) {
      last.unlisted++;
      return null;
    }
    told.set(kind, { atMs: nowMs, unlisted: 0 });
    return last?.unlisted ?? 0;
  }

  return (doing, cause) => {
    count();
    if (cause instanceof RpcError && cause.code === 'UNAVAILABLE') {
      // Without the ids that it quotes: there are as many kinds as places in the code.
      const before = unlistedBefore(`${cause.reason} ${doing.split("'", 1)[0]}`);
      if (before === null) return;
      const why = cause.cause instanceof Error ? cause.cause.message : undefined;
      const { reason, message } = cause;
      log.warn({ reason, failure: message, cause: why, unlistedBefore: before }, doing);
    } else {
      log.error({ err: cause }, doing);
    }
  };
}
