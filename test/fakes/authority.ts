// A certificate authority for tests: a root, an intermediate, and leaves with whatever a test wants to be
// right or wrong about them. Real certificates, made on the fly; no key is written anywhere.
import 'reflect-metadata';
import {
  createPrivateKey,
  createPublicKey,
  randomBytes,
  sign,
  webcrypto,
  X509Certificate,
  type KeyObject,
} from 'node:crypto';

import * as x509 from '@peculiar/x509';

import {
  CLIENT_AUTH_EKU_OID,
  SERVER_AUTH_EKU_OID,
  SIGNING_EKU_OID,
} from '../../protocol/identity/certificate.ts';
import { keyIdOf } from '../../protocol/identity/key-id.ts';
import { spiffeUri } from '../../protocol/identity/spiffe.ts';
import type { Signer } from '../../protocol/bill/envelope.ts';

x509.cryptoProvider.set(webcrypto);

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** PKCS #8, for tools that want a file. */
  readonly privateKeyPem: string;
  readonly webCrypto: webcrypto.CryptoKeyPair;
}

export interface IssuedCertificate {
  readonly keys: KeyPair;
  readonly certificate: X509Certificate;
  /** DER, leaf first, the root left off. */
  readonly chain: readonly Uint8Array[];
  /** The same as PEM, for a TLS server or client. */
  readonly chainPem: string;
  readonly signer: Signer;
}

export interface LeafOptions {
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly commonName?: string;
  readonly extendedKeyUsages?: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Basic constraints of an authority. */
  readonly authority?: { readonly pathLength?: number };
  readonly keyUsage?: x509.KeyUsageFlags;
  /** Use these keys instead of new ones. */
  readonly keys?: KeyPair;
  readonly extensions?: readonly x509.Extension[];
  /** Sign with the certificate's own key instead of the authority's. */
  readonly selfSigned?: boolean;
  /** Issue directly under the root. */
  readonly underRoot?: boolean;
  /** Issue under this certificate, whatever that may do. */
  readonly under?: IssuedCertificate;
  /** Write this name of an issuer, whoever signs. */
  readonly issuerName?: string;
  /** Default: SHA-256. */
  readonly hash?: 'SHA-1' | 'SHA-256' | 'SHA-384';
}

export interface AuthorityOptions {
  readonly trustDomain?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly rootPathLength?: number;
}

interface Authority {
  readonly keys: KeyPair;
  readonly certificate: x509.X509Certificate;
}

export class TestAuthority {
  readonly trustDomain: string;
  readonly #root: Authority;
  readonly #intermediate: Authority;
  readonly #validity: { readonly notBefore: Date; readonly notAfter: Date };

  private constructor(
    trustDomain: string,
    root: Authority,
    intermediate: Authority,
    validity: { readonly notBefore: Date; readonly notAfter: Date },
  ) {
    this.trustDomain = trustDomain;
    this.#root = root;
    this.#intermediate = intermediate;
    this.#validity = validity;
  }

  static async create({
    trustDomain = 'test.gap-junction',
    notBefore = new Date(Date.now() - DAY_MS),
    notAfter = new Date(Date.now() + 30 * DAY_MS),
    rootPathLength,
  }: AuthorityOptions = {}): Promise<TestAuthority> {
    const validity = { notBefore, notAfter };
    const rootKeys = await makeKeys();
    const root = {
      keys: rootKeys,
      certificate: await makeCertificate({
        subject: 'CN=Test root',
        issuer: 'CN=Test root',
        keys: rootKeys,
        signingKeys: rootKeys,
        validity,
        extensions: authorityExtensions(rootPathLength),
      }),
    };
    const keys = await makeKeys();
    const intermediate = {
      keys,
      certificate: await makeCertificate({
        subject: 'CN=Test intermediate',
        issuer: 'CN=Test root',
        keys,
        signingKeys: rootKeys,
        validity,
        extensions: authorityExtensions(0),
      }),
    };
    return new TestAuthority(trustDomain, root, intermediate, validity);
  }

  get rootCertificate(): X509Certificate {
    return new X509Certificate(this.rootPem);
  }

  get rootPem(): string {
    return this.#root.certificate.toString('pem');
  }

  node(nodeId: string, options: LeafOptions = {}): Promise<IssuedCertificate> {
    return this.issue({
      commonName: nodeId,
      uris: [spiffeUri(this.trustDomain, { role: 'node', id: nodeId })],
      extendedKeyUsages: [CLIENT_AUTH_EKU_OID],
      ...options,
    });
  }

  client(clientId: string, options: LeafOptions = {}): Promise<IssuedCertificate> {
    return this.issue({
      uris: [spiffeUri(this.trustDomain, { role: 'client', id: clientId })],
      extendedKeyUsages: [CLIENT_AUTH_EKU_OID],
      ...options,
    });
  }

  operator(operatorId: string, options: LeafOptions = {}): Promise<IssuedCertificate> {
    return this.issue({
      uris: [spiffeUri(this.trustDomain, { role: 'operator', id: operatorId })],
      extendedKeyUsages: [CLIENT_AUTH_EKU_OID],
      ...options,
    });
  }

  /** The control plane's key for orders and settlements. */
  signer(options: LeafOptions = {}): Promise<IssuedCertificate> {
    return this.issue({
      uris: [spiffeUri(this.trustDomain, { role: 'signer' })],
      extendedKeyUsages: [SIGNING_EKU_OID],
      ...options,
    });
  }

  server(dnsNames: readonly string[], options: LeafOptions = {}): Promise<IssuedCertificate> {
    return this.issue({
      uris: [spiffeUri(this.trustDomain, { role: 'server' })],
      dnsNames,
      extendedKeyUsages: [SERVER_AUTH_EKU_OID],
      ...options,
    });
  }

  async issue(options: LeafOptions): Promise<IssuedCertificate> {
    const keys = options.keys ?? (await makeKeys());
    const issuer = this.#issuerOf(options);
    const certificate = await makeCertificate({
      subject: `CN=${options.commonName ?? 'Test leaf'}`,
      issuer: options.issuerName ?? issuer.certificate.subject,
      keys,
      signingKeys: options.selfSigned === true ? keys : issuer.keys,
      validity: {
        notBefore: options.notBefore ?? this.#validity.notBefore,
        notAfter: options.notAfter ?? this.#validity.notAfter,
      },
      extensions: leafExtensions(options),
      hash: options.hash ?? P256.hash,
    });
    const certificates = [certificate, ...issuer.chain];
    return {
      keys,
      certificate: new X509Certificate(Buffer.from(certificate.rawData)),
      chain: certificates.map(({ rawData }) => new Uint8Array(rawData)),
      chainPem: certificates.map((one) => one.toString('pem')).join('\n'),
      signer: signerOf(keys),
    };
  }

  /** Whoever issues, and the certificates from there up to the root, that one left off. */
  #issuerOf({ under, underRoot }: LeafOptions): Authority & {
    readonly chain: readonly x509.X509Certificate[];
  } {
    if (under !== undefined) {
      const chain = under.chain.map((der) => new x509.X509Certificate(Buffer.from(der)));
      const [certificate] = chain;
      if (certificate === undefined) throw new Error('The issuer has no certificate');
      return { keys: under.keys, certificate, chain };
    }
    if (underRoot === true) return { ...this.#root, chain: [] };
    return { ...this.#intermediate, chain: [this.#intermediate.certificate] };
  }
}

/** Signs as a control plane or node does with a key in its own memory. */
export function signerOf({
  privateKey,
  publicKey,
}: Pick<KeyPair, 'privateKey' | 'publicKey'>): Signer {
  const keyId = keyIdOf(publicKey);
  if (keyId === null) throw new Error('A test signer needs an ECDSA P-256 key');
  return {
    keyId,
    sign: (message) => sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  };
}

/** New keys, ECDSA P-256 unless told otherwise. */
export async function makeKeys(algorithm: webcrypto.EcKeyGenParams = P256): Promise<KeyPair> {
  const pair = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey));
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  return {
    privateKey,
    publicKey: createPublicKey(privateKey),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    webCrypto: pair,
  };
}

function authorityExtensions(pathLength: number | undefined): x509.Extension[] {
  return [
    new x509.BasicConstraintsExtension(true, pathLength, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
  ];
}

function leafExtensions(options: LeafOptions): x509.Extension[] {
  const extensions: x509.Extension[] = [...(options.extensions ?? [])];
  if (options.authority !== undefined) {
    extensions.push(new x509.BasicConstraintsExtension(true, options.authority.pathLength, true));
  }
  extensions.push(
    new x509.KeyUsagesExtension(options.keyUsage ?? x509.KeyUsageFlags.digitalSignature, true),
  );
  const usages = options.extendedKeyUsages ?? [];
  if (usages.length > 0) extensions.push(new x509.ExtendedKeyUsageExtension([...usages]));
  const names = [
    ...(options.uris ?? []).map((value) => ({ type: 'url', value }) as const),
    ...(options.dnsNames ?? []).map((value) => ({ type: 'dns', value }) as const),
  ];
  if (names.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension(names));
  return extensions;
}

function makeCertificate({
  subject,
  issuer,
  keys,
  signingKeys,
  validity,
  extensions,
  hash = P256.hash,
}: {
  readonly subject: string;
  readonly issuer: string;
  readonly keys: KeyPair;
  readonly signingKeys: KeyPair;
  readonly validity: { readonly notBefore: Date; readonly notAfter: Date };
  readonly extensions: x509.Extension[];
  readonly hash?: string;
}): Promise<x509.X509Certificate> {
  return x509.X509CertificateGenerator.create({
    serialNumber: randomBytes(16).toString('hex'),
    subject,
    issuer,
    ...validity,
    publicKey: keys.webCrypto.publicKey,
    signingKey: signingKeys.webCrypto.privateKey,
    signingAlgorithm: { ...P256, hash },
    extensions,
  });
}
