// What fails in the background is one line in the log. Where the database is away it is said without its
// stack, as a warning: everything says so, again and again, until it is back.
import type { Logger } from 'pino';
import { RpcError } from './rpc/error.ts';

/** Of what was being done when it failed, and why. */
export type OnError = (doing: string, cause: unknown) => void;

/** `count` is called for each failure. */
export function failureLog(log: Logger, count: () => void): OnError {
  return (doing, cause) => {
    count();
    if (cause instanceof RpcError && cause.code === 'UNAVAILABLE') {
      const why = cause.cause instanceof Error ? cause.cause.message : undefined;
      log.warn({ reason: cause.reason, failure: cause.message, cause: why }, doing);
    } else {
      log.error({ err: cause }, doing);
    }
  };
}
