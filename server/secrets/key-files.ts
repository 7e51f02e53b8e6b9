// The secrets as files of the data folder: what they are called, how they are first made, how they are
// opened. The root signs nothing but intermediates, so its key can be taken away once it has signed one.
import { createPrivateKey, createPublicKey, randomBytes, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { readSecretFile, removeLeftovers, writeFolderWhole } from './files.ts';
import { issueCa, type Issuer, makeKey, signingKeyOf } from './issue.ts';
import { certificatePem, certificatesOfPem } from './pem.ts';

const FOLDER = 'secrets';

/** Take this file away after the first start, and keep it where no computer reads it. */
const ROOT_KEY = 'root.key';
const ROOT_CERTIFICATE = 'root.crt';
const INTERMEDIATE_KEY = 'intermediate.key';
const INTERMEDIATE_CERTIFICATE = 'intermediate.crt';
const SIGNER_KEY = 'signer.key';
const HEARTBEAT_KEY = 'heartbeat-master.key';
const ISOLATION_KEY = 'isolation.key';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Agents pin the root: it outlives machines. */
const ROOT_DAYS = 20 * 365;
/** Its bills have to be checkable for years. */
const INTERMEDIATE_DAYS = 5 * 365;

/** Clocks that are a little behind must not refuse what was just made. */
export const BACKDATE_MS = 5 * 60 * 1000;

const SYMMETRIC_KEY_BYTES = 32;

/** What the files hold, decoded and checked against each other. */
export interface KeyFiles {
  readonly rootCertificate: Uint8Array;
  readonly intermediateCertificate: Uint8Array;
  readonly intermediate: Issuer;
  /** PKCS #8, PEM. */
  readonly signerKeyPem: string;
  readonly heartbeatMasterKey: Uint8Array;
  readonly isolationSecret: Uint8Array;
}

export function keyFilesExist(dataDir: string): boolean {
  return existsSync(join(dataDir, FOLDER));
}

/** Makes all keys and CA certificates, in one step. */
export async function makeKeyFiles(
  dataDir: string,
  options: { readonly trustDomain: string; readonly nowMs: number },
): Promise<void> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const { trustDomain, nowMs } = options;
  const root = await makeKey();
  const rootIssuer = {
    commonName: `Gap Junction root (${trustDomain})`,
    publicKeySpki: root.publicKeySpki,
    signingKey: await signingKeyOf(pkcs8Of(root.pem)),
  };
  const intermediate = await makeKey();
  const rootCertificate = await issueCa({
    commonName: rootIssuer.commonName,
    publicKeySpki: root.publicKeySpki,
    issuer: rootIssuer,
    pathLength: 1,
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: nowMs + ROOT_DAYS * DAY_MS,
  });
  const intermediateCertificate = await issueCa({
    commonName: `Gap Junction intermediate (${trustDomain})`,
    publicKeySpki: intermediate.publicKeySpki,
    issuer: rootIssuer,
    pathLength: 0,
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: nowMs + INTERMEDIATE_DAYS * DAY_MS,
  });
  writeFolderWhole(join(dataDir, FOLDER), {
    [ROOT_KEY]: root.pem,
    [ROOT_CERTIFICATE]: certificatePem(rootCertificate),
    [INTERMEDIATE_KEY]: intermediate.pem,
    [INTERMEDIATE_CERTIFICATE]: certificatePem(intermediateCertificate),
    [SIGNER_KEY]: (await makeKey()).pem,
    [HEARTBEAT_KEY]: `${randomBytes(SYMMETRIC_KEY_BYTES).toString('hex')}\n`,
    [ISOLATION_KEY]: `${randomBytes(SYMMETRIC_KEY_BYTES).toString('hex')}\n`,
  });
}

/**
 * Reads the files. Throws, naming the file, when one is missing, broken, readable by others, or does not
 * fit its fellow.
 */
export async function readKeyFiles(
  dataDir: string,
  options: { readonly trustDomain: string; readonly nowMs: number },
): Promise<KeyFiles> {
  removeLeftovers(dataDir);
  const path = (name: string) => join(dataDir, FOLDER, name);
  const rootCertificate = readCertificate(path(ROOT_CERTIFICATE));
  const intermediateCertificate = readCertificate(path(INTERMEDIATE_CERTIFICATE));
  const certificate = new X509Certificate(intermediateCertificate);
  const root = new X509Certificate(rootCertificate);
  if (!certificate.checkIssued(root) || !certificate.verify(root.publicKey)) {
    throw new Error(
      `reading '${path(INTERMEDIATE_CERTIFICATE)}': '${ROOT_CERTIFICATE}' has not issued it`,
    );
  }
  const expected = `CN=Gap Junction intermediate (${options.trustDomain})`;
  if (certificate.subject !== expected) {
    throw new Error(
      `reading '${path(INTERMEDIATE_CERTIFICATE)}': it is '${certificate.subject}', not '${expected}'; this data folder belongs to another trust domain`,
    );
  }
  if (options.nowMs >= certificate.validToDate.getTime()) {
    throw new Error(
      `reading '${path(INTERMEDIATE_CERTIFICATE)}': it ended on ${certificate.validToDate.toISOString()}; it has to be issued anew under the root key`,
    );
  }
  const intermediateKeyPem = readPrivateKey(path(INTERMEDIATE_KEY));
  const intermediateKey = createPrivateKey(intermediateKeyPem);
  if (!certificate.checkPrivateKey(intermediateKey)) {
    throw new Error(
      `reading '${path(INTERMEDIATE_KEY)}': it is not the key of '${INTERMEDIATE_CERTIFICATE}'`,
    );
  }
  return {
    rootCertificate,
    intermediateCertificate,
    intermediate: {
      commonName: certificate.subject.slice('CN='.length),
      publicKeySpki: createPublicKey(intermediateKey).export({ type: 'spki', format: 'der' }),
      signingKey: await signingKeyOf(pkcs8Of(intermediateKeyPem)),
    },
    signerKeyPem: readPrivateKey(path(SIGNER_KEY)),
    heartbeatMasterKey: readSymmetricKey(path(HEARTBEAT_KEY)),
    isolationSecret: readSymmetricKey(path(ISOLATION_KEY)),
  };
}

/** PKCS #8 DER of a key in PEM. */
export function pkcs8Of(pem: string): Buffer {
  return createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
}

function readCertificate(path: string): Uint8Array {
  const [certificate, ...more] = certificatesOfPem(readSecretFile(path));
  if (certificate === undefined || more.length > 0) {
    throw new Error(`reading '${path}': it holds no certificate, or more than one, in PEM`);
  }
  try {
    return new X509Certificate(certificate).raw;
  } catch (cause) {
    throw new Error(`reading '${path}': its certificate cannot be read`, { cause });
  }
}

function readPrivateKey(path: string): string {
  const pem = readSecretFile(path);
  let type: string | undefined;
  try {
    type = createPrivateKey(pem).asymmetricKeyDetails?.namedCurve;
  } catch {
    // The cause could quote the key.
  }
  if (type !== 'prime256v1') {
    throw new Error(
      `reading '${path}': it holds no ECDSA P-256 key in PEM; put it back from your copy`,
    );
  }
  return pem;
}

function readSymmetricKey(path: string): Uint8Array {
  const hex = readSecretFile(path).trim();
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    throw new Error(
      `reading '${path}': it does not hold ${SYMMETRIC_KEY_BYTES} bytes in hex; put it back from your copy`,
    );
  }
  return Buffer.from(hex, 'hex');
}
