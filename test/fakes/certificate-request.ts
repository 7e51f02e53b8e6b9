// Keys and certificate requests as a caller makes them.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { cryptoProvider, type Extension, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';

cryptoProvider.set(webcrypto);

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface RequestedKey {
  /** PKCS #10, DER. */
  readonly csr: Uint8Array;
  /** PKCS #8, PEM. */
  readonly privateKeyPem: string;
}

/** A new key and a request signed by it. `algorithm`: as WebCrypto has it, P-256 unless told otherwise. */
export async function requestKey(
  options: { readonly algorithm?: object; readonly extensions?: readonly Extension[] } = {},
): Promise<RequestedKey> {
  const algorithm = options.algorithm ?? P256;
  const keys = await webcrypto.subtle.generateKey(algorithm as never, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=anything',
    keys,
    signingAlgorithm: algorithm as never,
    extensions: [...(options.extensions ?? [])],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return {
    csr: new Uint8Array(request.rawData),
    privateKeyPem: `-----BEGIN PRIVATE KEY-----\n${pkcs8.toString('base64')}\n-----END PRIVATE KEY-----\n`,
  };
}
