// Whether the caller's role is one that the method's access option names.
import { RpcError } from '../error.ts';
import type { Interceptor } from '../interceptor.ts';
import { type AuthenticateOptions, judge, unauthenticated } from './authenticate.ts';

export function authorize(options: AuthenticateOptions): Interceptor {
  return {
    onCall(call) {
      const { callers, path } = call.method;
      const { kind } = call.caller;
      if (callers.has('anyone') || callers.has(kind)) return;
      if (kind === 'anyone') {
        const peer = judge(call.connection, options);
        throw unauthenticated(
          call,
          peer.kind === 'uncertified' ? peer.reason : 'CERTIFICATE_UNTRUSTED',
        );
      }
      throw new RpcError(
        'PERMISSION_DENIED',
        'WRONG_ROLE',
        `calling ${path}: it is for ${[...callers].join(' or ')}, the certificate is of a ${kind}`,
      );
    },
  };
}
