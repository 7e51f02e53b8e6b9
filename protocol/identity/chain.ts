// Whether a certificate leads to the root at a given time (RFC 5280, section 6.1, without policies and
// name constraints, which our authority does not use). Bills are checked years later, at the time of
// their settlement; TLS libraries judge only now.

import type { X509Certificate } from 'node:crypto';
import { readCertificate, type Certificate } from './certificate.ts';
import { MalformedDer } from './der.ts';

/** Leaf and intermediates, without the root: ours have two. */
export const MAX_CHAIN_CERTIFICATES = 4;

/** ECDSA with SHA-256, SHA-384, SHA-512 (RFC 5758): what an authority of ours signs with. */
const SIGNATURE_ALGORITHM_OIDS: ReadonlySet<string> = new Set([
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
]);

export type ChainVerdict =
  | { readonly ok: true; readonly leaf: Certificate }
  | { readonly ok: false; readonly problem: string };

/**
 * Verifies leaf -> intermediates -> root at `atMs` (Unix milliseconds): signatures, names, validity of
 * each including the root, authority, key usage and path length. `chain` is DER, leaf first, the root
 * left off. Never throws on any chain.
 */
export function verifyChain({
  chain,
  root,
  atMs,
}: {
  readonly chain: readonly Uint8Array[];
  readonly root: X509Certificate;
  readonly atMs: number;
}): ChainVerdict {
  if (chain.length === 0) return refuse('there is no certificate');
  if (chain.length > MAX_CHAIN_CERTIFICATES) {
    return refuse(`there are ${chain.length} certificates, more than ${MAX_CHAIN_CERTIFICATES}`);
  }
  let certificates: Certificate[];
  try {
    certificates = [...chain.map(readCertificate), readCertificate(root)];
  } catch (cause) {
    if (cause instanceof MalformedDer) return refuse(cause.message);
    throw cause;
  }
  for (const [depth, certificate] of certificates.entries()) {
    const problem =
      problemOfTime(certificate, atMs) ??
      (depth === 0 ? problemOfLeaf(certificate) : problemOfAuthority(certificate, depth - 1));
    if (problem !== null) return refuse(`${nameAt(depth, certificates.length)} ${problem}`);
    const issuer = certificates[depth + 1];
    if (issuer !== undefined && !isIssuedBy(certificate, issuer)) {
      return refuse(
        `${nameAt(depth, certificates.length)} was not issued by ${nameAt(depth + 1, certificates.length)}`,
      );
    }
  }
  const [leaf] = certificates;
  return leaf === undefined ? refuse('there is no certificate') : { ok: true, leaf };
}

function problemOfTime({ notBeforeMs, notAfterMs }: Certificate, atMs: number): string | null {
  if (!(atMs >= notBeforeMs)) return 'was not yet valid';
  // The last second of a certificate's life belongs to it as a whole.
  if (!(atMs < notAfterMs + 1_000)) return 'had expired';
  return null;
}

function problemOfLeaf({ isAuthority, keyUsage }: Certificate): string | null {
  if (isAuthority) return 'is an authority';
  if (keyUsage !== null && !keyUsage.digitalSignature) return 'is not for signatures';
  return null;
}

function problemOfAuthority(
  { isAuthority, keyUsage, pathLength }: Certificate,
  authoritiesBelow: number,
): string | null {
  if (!isAuthority) return 'is no authority';
  if (keyUsage?.keyCertSign !== true) return 'may not sign certificates';
  if (pathLength !== null && authoritiesBelow > pathLength) {
    return `allows ${pathLength} authorities below it, there are ${authoritiesBelow}`;
  }
  return null;
}

function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  return (
    Buffer.compare(certificate.issuer, issuer.subject) === 0 &&
    SIGNATURE_ALGORITHM_OIDS.has(certificate.x509.signatureAlgorithmOid ?? '') &&
    hasSignatureOf(certificate.x509, issuer.x509)
  );
}

function hasSignatureOf(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    // The key is of a kind that cannot have made such a signature.
    return false;
  }
}

function nameAt(depth: number, count: number): string {
  if (depth === 0) return 'the certificate';
  return depth === count - 1 ? 'the root' : `authority ${depth}`;
}

function refuse(problem: string): ChainVerdict {
  return { ok: false, problem };
}
