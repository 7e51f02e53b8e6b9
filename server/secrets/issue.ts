// Certificates as they are made: who is named, for what use, by whom (RFC 5280).
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  type Extension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  PublicKey,
  X509CertificateGenerator,
} from '@peculiar/x509';
import {
  CLIENT_AUTH_EKU_OID,
  SERVER_AUTH_EKU_OID,
  SIGNING_EKU_OID,
} from '../../protocol/identity/certificate.ts';
import type { IssueRequest } from './secrets.ts';

cryptoProvider.set(webcrypto);

/** ECDSA P-256 with SHA-256, for every key and signature of ours. */
const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** RFC 5280 allows 20; 16 random ones are never met twice. */
const SERIAL_BYTES = 16;

const EKU_OF_USAGE = {
  client: CLIENT_AUTH_EKU_OID,
  server: SERVER_AUTH_EKU_OID,
  signer: SIGNING_EKU_OID,
} as const satisfies Record<IssueRequest['usage'], string>;

/** An issuer: its name and the key it signs with. */
export interface Issuer {
  readonly commonName: string;
  readonly publicKeySpki: Uint8Array;
  readonly signingKey: webcrypto.CryptoKey;
}

/** A new key: PKCS #8 in PEM for its file, and its public half in DER. */
export async function makeKey(): Promise<{ pem: string; publicKeySpki: Uint8Array }> {
  const pair = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey));
  const lines = pkcs8.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return {
    pem: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`,
    publicKeySpki: new Uint8Array(await webcrypto.subtle.exportKey('spki', pair.publicKey)),
  };
}

/** The key of a PKCS #8 DER, to sign with. Throws when it is not ECDSA P-256. */
export async function signingKeyOf(pkcs8: Uint8Array): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', Buffer.from(pkcs8), KEY_ALGORITHM, false, ['sign']);
}

/** A CA certificate, DER. `pathLength`: how many CAs may stand below it. */
export async function issueCa(options: {
  readonly commonName: string;
  readonly publicKeySpki: Uint8Array;
  readonly issuer: Issuer;
  readonly pathLength: number;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}): Promise<Uint8Array> {
  return generate(options, options.issuer, [
    new BasicConstraintsExtension(true, options.pathLength, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ]);
}

/** A certificate for one end, DER. `uri` is its SPIFFE name. */
export async function issueLeaf(
  request: IssueRequest & { readonly uri: string },
  issuer: Issuer,
): Promise<Uint8Array> {
  return generate(request, issuer, [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([EKU_OF_USAGE[request.usage]], request.usage === 'signer'),
    new SubjectAlternativeNameExtension([
      { type: 'url', value: request.uri },
      ...(request.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
      ...(request.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
    ]),
  ]);
}

async function generate(
  subject: {
    readonly commonName: string;
    readonly publicKeySpki: Uint8Array;
    readonly notBeforeMs: number;
    readonly notAfterMs: number;
  },
  issuer: Issuer,
  extensions: readonly Extension[],
): Promise<Uint8Array> {
  const publicKey = new PublicKey(Buffer.from(subject.publicKeySpki));
  const issuerKey = new PublicKey(Buffer.from(issuer.publicKeySpki));
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerialHex(),
    subject: [{ CN: [subject.commonName] }],
    issuer: [{ CN: [issuer.commonName] }],
    notBefore: new Date(subject.notBeforeMs),
    notAfter: new Date(subject.notAfterMs),
    publicKey,
    signingKey: issuer.signingKey,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: [
      ...extensions,
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(issuerKey),
    ],
  });
  return new Uint8Array(certificate.rawData);
}

/** Positive, and as long in DER as in hex: the first byte is between 0x40 and 0x7f. */
function randomSerialHex(): string {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial.toString('hex');
}
