// The one root that this agent trusts, and certificates that must lead to it.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { digest, parseDigestText, sameBytes } from '../../protocol/bill/digest.ts';
import { AgentError } from '../error.ts';

/** What the owner said about the root: its certificate, or its fingerprint. */
export type RootPin =
  | { readonly kind: 'certificate'; readonly root: X509Certificate }
  | { readonly kind: 'fingerprint'; readonly sha256: Uint8Array };

/** A root certificate in PEM has some 700 bytes. */
const MAX_PEM_BYTES = 65_536;

/** The pin in a PEM file of one certificate. */
export function pinOfFile(path: string): RootPin {
  const pem = readFileSync(path);
  if (pem.length > MAX_PEM_BYTES) throw refused(`--ca '${path}'`, 'the file is too large');
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----/g)?.length ?? 0;
  if (blocks !== 1) throw refused(`--ca '${path}'`, `it has ${blocks} certificates; give one root`);
  try {
    return { kind: 'certificate', root: new X509Certificate(pem) };
  } catch (cause) {
    throw refused(`--ca '${path}'`, 'it is no certificate in PEM', cause);
  }
}

/** The pin in `sha256:<64 hex digits>`, the SHA-256 of the root certificate's DER; colons may part bytes. */
export function pinOfFingerprint(text: string): RootPin {
  const plain = `sha256:${text
    .replace(/^sha256:/i, '')
    .replaceAll(':', '')
    .toLowerCase()}`;
  const sha256 = parseDigestText(plain);
  if (sha256 === null) {
    throw refused(
      `--ca-fingerprint '${text.slice(0, 100)}'`,
      "give 'sha256:' and the 64 hex digits that 'server' prints",
    );
  }
  return { kind: 'fingerprint', sha256 };
}

/**
 * The root among the certificates that a stranger presented: the self-signed one with the pinned
 * fingerprint. Null where it is not among them.
 */
export function findRoot(
  pin: RootPin,
  presented: readonly X509Certificate[],
): X509Certificate | null {
  if (pin.kind === 'certificate') return pin.root;
  return (
    presented.find(
      (certificate) => sameBytes(digest(certificate.raw), pin.sha256) && isSelfSigned(certificate),
    ) ?? null
  );
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

function refused(option: string, problem: string, cause?: unknown): AgentError {
  return new AgentError('OPTION_REFUSED', `reading ${option}: ${problem}`, { cause });
}
