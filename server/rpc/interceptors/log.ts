// One line for a call that is over. The cause of an unexpected failure stands here and nowhere else.
import type { Logger } from 'pino';
import { RpcError } from '../error.ts';
import type { Interceptor } from '../interceptor.ts';

export function log(options: { readonly now: () => number; readonly log: Logger }): Interceptor {
  const { now } = options;
  return {
    onEnd(call, error) {
      if (error === null) {
        // Asked of the parent: a call's own log is only made where it writes something.
        if (options.log.isLevelEnabled('debug')) {
          call.log.debug({ tookMs: now() - call.startedMs }, 'call ended');
        }
        return;
      }
      const tookMs = now() - call.startedMs;
      if (error instanceof RpcError) {
        const { code, reason, message } = error;
        const cause = error.cause instanceof Error ? error.cause.message : undefined;
        // Strangers must not be able to fill the log.
        const level = call.caller.kind === 'anyone' ? 'debug' : 'info';
        call.log[level]({ tookMs, code, reason, failure: message, cause }, 'call refused');
        return;
      }
      call.log.error({ tookMs, err: error }, 'call failed');
    },
  };
}
