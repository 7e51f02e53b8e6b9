// Who calls, judged anew on every call and every message of a stream.
import type { Call } from '../call.ts';
import type { Connection } from '../connection.ts';
import { RpcError } from '../error.ts';
import type { Interceptor } from '../interceptor.ts';
import type { Peer, UncertifiedReason } from '../peer.ts';

export interface AuthenticateOptions {
  readonly now: () => number;
  readonly revocations: {
    isRevoked(serial: string): boolean;
    /** False when the list of revocations is too old to trust. */
    isFresh(nowMs: number): boolean;
  };
}

export function authenticate(options: AuthenticateOptions): Interceptor {
  return {
    onCall(call) {
      const peer = judge(call.connection, options);
      if (peer.kind === 'certified') call.caller = peer.caller;
    },
    onRequest(call) {
      if (call.caller.kind === 'anyone') return;
      const peer = judge(call.connection, options);
      if (peer.kind === 'uncertified') throw unauthenticated(call, peer.reason);
    },
  };
}

/** What the connection's certificate is worth at this moment. */
export function judge(connection: Connection, options: AuthenticateOptions): Peer {
  const { peer } = connection;
  if (peer.kind === 'uncertified') return peer;
  const nowMs = options.now();
  if (nowMs >= peer.caller.expiresAtMs) {
    return { kind: 'uncertified', reason: 'CERTIFICATE_EXPIRED' };
  }
  if (options.revocations.isRevoked(peer.caller.serial)) {
    return { kind: 'uncertified', reason: 'CERTIFICATE_REVOKED' };
  }
  if (!options.revocations.isFresh(nowMs)) {
    throw new RpcError(
      'UNAVAILABLE',
      'REVOCATIONS_UNKNOWN',
      'checking the certificate: the list of revoked ones cannot be read; try again',
    );
  }
  return peer;
}

const WHAT_IS_WRONG: Readonly<Record<UncertifiedReason, string>> = {
  NO_CERTIFICATE: 'there is no client certificate on this connection',
  CERTIFICATE_UNTRUSTED: 'the client certificate was not issued by this control plane for a caller',
  CERTIFICATE_EXPIRED: 'the client certificate has expired',
  CERTIFICATE_REVOKED: 'the client certificate was revoked',
};

export function unauthenticated(call: Call, reason: UncertifiedReason): RpcError {
  return new RpcError(
    'UNAUTHENTICATED',
    reason,
    `calling ${call.method.path}: ${WHAT_IS_WRONG[reason]}`,
  );
}
