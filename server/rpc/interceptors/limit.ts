// Calls are limited by the address they come from and by the certificate they come with; those that anyone
// may make a second time, by fewer.
import type { Call } from '../call.ts';
import { CallCounts, type CallLimits } from '../call-limits.ts';
import type { Interceptor } from '../interceptor.ts';
import type { EnrolmentLimit } from '../limits.ts';

const ENROLMENT_PATHS: ReadonlySet<string> = new Set([
  '/gapjunction.node.v1.EnrolmentService/StartEnrolment',
  '/gapjunction.node.v1.EnrolmentService/Enrol',
]);

/** After the authentication, before anything that costs more. Frames of a stream are not counted. */
export function limitCalls(limits: CallLimits): Interceptor {
  const counts = new CallCounts(limits);
  const streams = new WeakMap<Call, () => void>();
  return {
    onCall(call) {
      const { path, descriptor } = call.method;
      counts.fromAddress(path, call.address, call.startedMs);
      if (call.caller.kind === 'anyone') return;
      const { serial } = call.caller;
      counts.withCertificate(path, serial, call.startedMs);
      if (descriptor.methodKind !== 'unary') streams.set(call, counts.openStream(path, serial));
    },
    onEnd(call) {
      streams.get(call)?.();
      streams.delete(call);
    },
  };
}

export function limitEnrolments(limit: EnrolmentLimit): Interceptor {
  return {
    onCall(call) {
      return ENROLMENT_PATHS.has(call.method.path) ? limit(call.address) : undefined;
    },
  };
}
