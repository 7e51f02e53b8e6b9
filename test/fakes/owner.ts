// An owner with a machine: its key, its certificate requests, hostile ones included.
import 'reflect-metadata';
import { createHash, generateKeyPairSync, sign, webcrypto, type KeyObject } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface OwnerKey {
  readonly privateKey: KeyObject;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly digest: Uint8Array;
  readonly web: webcrypto.CryptoKeyPair;
}

export async function makeOwnerKey(): Promise<OwnerKey> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  const { subtle } = webcrypto;
  return {
    privateKey,
    digest: createHash('sha256').update(spki).digest(),
    web: {
      privateKey: await subtle.importKey('pkcs8', pkcs8, P256, true, ['sign']),
      publicKey: await subtle.importKey('spki', spki, P256, true, ['verify']),
    },
  };
}

/** A PKCS #10 request for the key, DER, asking for the extensions. */
export async function makeCsr(
  key: OwnerKey,
  extensions: x509.Extension[] = [],
): Promise<Uint8Array> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=whatever the node likes',
    keys: key.web,
    signingAlgorithm: P256,
    extensions,
  });
  return new Uint8Array(request.rawData);
}

/** IEEE P1363, as the contract wants it. */
export function signP1363(key: OwnerKey, bytes: Uint8Array): Uint8Array {
  return sign('sha256', bytes, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
}

/** Asks to be a certificate authority. */
export function authorityExtension(): x509.Extension {
  return new x509.BasicConstraintsExtension(true);
}

/** Asks for a name that is not the node's to have. */
export function nameExtension(uri: string): x509.Extension {
  return new x509.SubjectAlternativeNameExtension([{ type: 'url', value: uri }]);
}
