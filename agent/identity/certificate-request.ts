// A PKCS #10 request (RFC 2986) for a node key. It asks for nothing: no names, no extensions; the control
// plane takes the public key out of it and the proof that we hold the private one.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { cryptoProvider, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';

import type { NodeKey } from './node-key.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** The request as DER, signed by the key. */
export async function certificateRequest(key: NodeKey): Promise<Uint8Array> {
  cryptoProvider.set(webcrypto);
  const request = await Pkcs10CertificateRequestGenerator.create({
    signingAlgorithm: ALGORITHM,
    keys: {
      publicKey: key.publicKey.toCryptoKey(ALGORITHM, true, ['verify']),
      privateKey: key.privateKey.toCryptoKey(ALGORITHM, true, ['sign']),
    },
  });
  return new Uint8Array(request.rawData);
}
