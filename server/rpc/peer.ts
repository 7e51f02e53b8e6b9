// What a TLS connection proves about its other end. A handshake with a foreign, expired or missing
// certificate succeeds, so that the call gets a proper status; the certificate then counts as none.
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { keyIdOf } from '../../protocol/identity/key-id.ts';
import { serialHex } from '../../protocol/identity/serial.ts';
import { parseSpiffeUri } from '../../protocol/identity/spiffe.ts';
import type { Caller, CertifiedCaller } from './service.ts';

export type CertifiedPeer = Exclude<Caller, { kind: 'anyone' }>;

export type Peer =
  | { readonly kind: 'certified'; readonly caller: CertifiedPeer }
  /** `reason` is what the caller is told where a certificate is needed. */
  | { readonly kind: 'uncertified'; readonly reason: UncertifiedReason };

export type UncertifiedReason =
  | 'NO_CERTIFICATE'
  | 'CERTIFICATE_UNTRUSTED'
  | 'CERTIFICATE_EXPIRED'
  | 'CERTIFICATE_REVOKED';

export interface TrustAnchors {
  readonly trustDomain: string;
  /** Those that issue to callers, for the chain of a caller. */
  readonly intermediates: readonly X509Certificate[];
}

/**
 * The peer of a connection whose handshake is done. Only a socket that OpenSSL verified against our root
 * (`authorized`; this includes the clientAuth usage) gives an identity, and only by exactly one name, a
 * SPIFFE URI of our trust domain.
 */
export function peerOf(socket: TLSSocket, anchors: TrustAnchors): Peer {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { kind: 'uncertified', reason: 'NO_CERTIFICATE' };
  if (!socket.authorized) {
    const expired = String(socket.authorizationError).includes('CERT_HAS_EXPIRED');
    return {
      kind: 'uncertified',
      reason: expired ? 'CERTIFICATE_EXPIRED' : 'CERTIFICATE_UNTRUSTED',
    };
  }
  const caller = callerNamedBy(certificate, anchors);
  return caller === null
    ? { kind: 'uncertified', reason: 'CERTIFICATE_UNTRUSTED' }
    : { kind: 'certified', caller };
}

function callerNamedBy(certificate: X509Certificate, anchors: TrustAnchors): CertifiedPeer | null {
  // Node writes all names into one text and quotes those that hold a comma, so a text that is one plain
  // URI is one name.
  const [, uri] = /^URI:([^,"]+)$/.exec(certificate.subjectAltName ?? '') ?? [];
  const name = uri === undefined ? null : parseSpiffeUri(uri);
  if (name === null || name.trustDomain !== anchors.trustDomain) return null;
  const keyId = keyIdOf(certificate.publicKey);
  if (keyId === null) return null;
  const certified: CertifiedCaller = {
    serial: serialHex(certificate.serialNumber),
    keyId,
    expiresAtMs: certificate.validToDate.getTime(),
    chain: chainOf(certificate, anchors),
  };
  const { identity } = name;
  switch (identity.role) {
    case 'node':
      return { kind: 'node', nodeId: identity.id, ...certified };
    case 'client':
      return { kind: 'client', clientId: identity.id, ...certified };
    case 'operator':
      return { kind: 'operator', operatorId: identity.id, ...certified };
    case 'signer':
    case 'server':
      return null;
    default:
      return identity satisfies never;
  }
}

/** A resumed TLS session carries the leaf only, so the intermediate is taken from our own. */
function chainOf(certificate: X509Certificate, anchors: TrustAnchors): readonly Uint8Array[] {
  const issuer = anchors.intermediates.find((one) => certificate.checkIssued(one));
  return issuer === undefined ? [certificate.raw] : [certificate.raw, issuer.raw];
}
