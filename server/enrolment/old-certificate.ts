// The proof that needs no browser: a certificate of this node that ended lately, and its key's signature
// over this enrolment.

import { verify, X509Certificate } from 'node:crypto';
import { sameBytes } from '../../protocol/bill/digest.ts';
import { oldCertificateMessage } from '../../protocol/identity/old-certificate.ts';
import { serialHex } from '../../protocol/identity/serial.ts';
import { findCertificate } from '../certificates/certificate-store.ts';
import { findNode } from '../nodes/node-store.ts';
import type { Store } from '../store/store.ts';
import { certificateUnusable } from './refusal.ts';

/** A long weekend and a repair; later the owner shows up in a browser again. */
export const OLD_CERTIFICATE_GRACE_MS = 7 * 24 * 3_600_000;

export interface OldCertificateProof {
  /** DER. */
  readonly certificate: Uint8Array;
  /** IEEE P1363. */
  readonly signature: Uint8Array;
  readonly state: string;
  /** The request as sent, and the digest of its key. */
  readonly csr: Uint8Array;
  readonly newKeyDigest: Uint8Array;
  readonly nowMs: number;
}

/**
 * The node whose certificate it is, and its account. It must be the node's newest one: an older copy of
 * its files must not take it over. Throws CERTIFICATE_UNUSABLE, also for what is no certificate at all.
 */
export async function checkOldCertificate(
  store: Store,
  proof: OldCertificateProof,
): Promise<{ readonly nodeId: string; readonly accountId: string }> {
  const x509 = read(proof.certificate);
  const recorded = await store.read((em) => findCertificate(em, serialHex(x509.serialNumber)));
  // What we issued is in our own books, byte for byte; so its issuer needs no second check.
  if (recorded === null || !sameBytes(recorded.certificate, proof.certificate)) {
    throw certificateUnusable('it was not issued here');
  }
  if (recorded.holderRole !== 'node') throw certificateUnusable("it is no node's");
  if ((recorded.revokedMs ?? null) !== null) throw certificateUnusable('it was revoked');
  if (recorded.notAfterMs >= proof.nowMs) {
    throw certificateUnusable('it has not ended: renew it instead');
  }
  if (recorded.notAfterMs < proof.nowMs - OLD_CERTIFICATE_GRACE_MS) {
    throw certificateUnusable('it ended more than 7 days ago');
  }
  if (!isSigned(x509, proof)) {
    throw certificateUnusable('the signature is not by its key over this state and request');
  }
  const node = await store.read((em) => findNode(em, recorded.holderId));
  if (node === null || node.standing === 'revoked')
    throw certificateUnusable('its node is revoked');
  // A renewal whose answer never arrived left the newer key with this same machine.
  const newest = sameBytes(node.keyId, recorded.keyId) || sameBytes(node.keyId, proof.newKeyDigest);
  if (!newest) throw certificateUnusable('its node has a newer one');
  return { nodeId: node.nodeId, accountId: node.accountId };
}

function read(der: Uint8Array): X509Certificate {
  try {
    const x509 = new X509Certificate(der);
    if (Buffer.compare(x509.raw, der) === 0) return x509;
  } catch {
    // Falls through: the stranger learns no more than that.
  }
  throw certificateUnusable('it cannot be read as one DER certificate');
}

function isSigned(x509: X509Certificate, { state, csr, signature }: OldCertificateProof): boolean {
  const key = { key: x509.publicKey, dsaEncoding: 'ieee-p1363' as const };
  return verify('sha256', oldCertificateMessage({ state, csr }), key, signature);
}
