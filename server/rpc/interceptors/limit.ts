// Calls that anyone may make are limited by the address they come from.
import type { Interceptor } from '../interceptor.ts';
import type { EnrolmentLimit } from '../limits.ts';

const LIMITED_PATHS: ReadonlySet<string> = new Set([
  '/gapjunction.node.v1.EnrolmentService/StartEnrolment',
  '/gapjunction.node.v1.EnrolmentService/Enrol',
]);

export function limit(limits: { readonly enrolment: EnrolmentLimit }): Interceptor {
  return {
    onCall(call) {
      return LIMITED_PATHS.has(call.method.path) ? limits.enrolment(call.address) : undefined;
    },
  };
}
