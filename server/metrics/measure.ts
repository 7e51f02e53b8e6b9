// Counts every call as it begins and ends.
import type { Interceptor } from '../rpc/interceptor.ts';
import { RpcError } from '../rpc/error.ts';
import type { Metrics } from './metrics.ts';

/** The first of the interceptors: also what the others refuse is counted. */
export function measure({
  metrics,
  now,
}: {
  readonly metrics: Pick<Metrics, 'callBegan' | 'callEnded'>;
  readonly now: () => number;
}): Interceptor {
  return {
    onCall({ method: { descriptor } }) {
      metrics.callBegan({ service: descriptor.parent.typeName, method: descriptor.name });
    },
    onEnd(call, error) {
      const { descriptor } = call.method;
      const refused = error instanceof RpcError;
      metrics.callEnded({
        service: descriptor.parent.typeName,
        method: descriptor.name,
        kind: descriptor.methodKind === 'unary' ? 'unary' : 'stream',
        code: error === null ? 'OK' : refused ? error.code : 'INTERNAL',
        reason: refused ? error.reason : '',
        tookMs: now() - call.startedMs,
      });
    },
  };
}
