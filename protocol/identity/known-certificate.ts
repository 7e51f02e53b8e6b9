// Certificates that come again and again: every bill of a control plane carries the same one of its signer,
// and an agent's bills the same one of its node. Reading one costs more than the signature that it is for.

import { readCertificate, type Certificate } from './certificate.ts';

/** With up to 4 KiB of each. A signer is replaced once in months, a node's certificate once a day. */
const MAX_KNOWN_CERTIFICATES = 64;

/** By their bytes; the one that was used last stands last. What a certificate says does not change. */
const known = new Map<string, Certificate>();

/** As `readCertificate` of these bytes, and faster the second time. Throws as it does. */
export function knownCertificate(der: Uint8Array): Certificate {
  const bytes = Buffer.from(der.buffer, der.byteOffset, der.length).toString('latin1');
  const certificate = known.get(bytes) ?? readCertificate(der);
  known.delete(bytes);
  if (known.size >= MAX_KNOWN_CERTIFICATES) {
    const [oldest] = known.keys();
    if (oldest !== undefined) known.delete(oldest);
  }
  known.set(bytes, certificate);
  return certificate;
}
