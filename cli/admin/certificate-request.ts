// Keys and certificate requests made on the operator's own machine.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';

import { cryptoProvider, PemConverter, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A new ECDSA P-256 key (PKCS #8, PEM) and a request for it (PKCS #10, DER). */
export async function makeKeyAndRequest(): Promise<{ keyPem: string; request: Uint8Array }> {
  cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=gap-junction',
    keys,
    signingAlgorithm: ALGORITHM,
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    keyPem: `${PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
    request: new Uint8Array(request.rawData),
  };
}

/** The first PEM block's bytes. */
export function derOfPem(text: string): Uint8Array {
  return new Uint8Array(PemConverter.decodeFirst(text));
}

/** DER certificates, leaf first, as one PEM text. */
export function certificatesPem(chain: readonly Uint8Array[]): string {
  return `${chain.map((der) => PemConverter.encode(new Uint8Array(der).buffer, 'CERTIFICATE')).join('\n')}\n`;
}
