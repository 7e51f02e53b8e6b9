// The secrets made of key files: the keys stay in this file's closures.
import { createHmac, createPrivateKey, createPublicKey, sign, X509Certificate } from 'node:crypto';
import { keyIdOf } from '../../protocol/identity/key-id.ts';
import { serialHex } from '../../protocol/identity/serial.ts';
import { parseSpiffeUri } from '../../protocol/identity/spiffe.ts';
import { issueLeaf } from './issue.ts';
import { keyFilesExist, type KeyFiles, makeKeyFiles, readKeyFiles } from './key-files.ts';
import type {
  Authority,
  HeartbeatMaster,
  IssuedCertificate,
  IssueRequest,
  Secrets,
  Signer,
} from './secrets.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Issued anew at each start, for the same key. */
const SIGNER_DAYS = 365;

/** Key files have one heartbeat master key; its number travels in each frame. */
const HEARTBEAT_KEY_ID = 1;

export interface OpenSecretsOptions {
  readonly dataDir: string;
  readonly trustDomain: string;
  readonly nowMs: number;
  /** The database already knows certificates: then missing key files are a loss, not a first start. */
  readonly inUse: boolean;
}

/** Opens the key files, and makes them on the first start. Throws what `readKeyFiles` throws. */
export async function openFileSecrets(options: OpenSecretsOptions): Promise<Secrets> {
  if (!keyFilesExist(options.dataDir)) {
    if (options.inUse) {
      throw new Error(
        `opening the keys in '${options.dataDir}': there are none, but the database was used with some; put the folder 'secrets' back from your copy, or start with an empty database`,
      );
    }
    await makeKeyFiles(options.dataDir, options);
  }
  const files = await readKeyFiles(options.dataDir, options);
  const authority = authorityOf(files, options.trustDomain);
  return {
    authority,
    signer: await signerOf(files, authority, options.nowMs),
    heartbeatMaster: heartbeatMasterOf(files),
    isolationSecret: files.isolationSecret,
  };
}

function authorityOf(files: KeyFiles, trustDomain: string): Authority {
  const intermediateEndsMs = new X509Certificate(
    files.intermediateCertificate,
  ).validToDate.getTime();
  return {
    trustDomain,
    rootCertificate: files.rootCertificate,
    intermediateCertificate: files.intermediateCertificate,
    async issue(request: IssueRequest): Promise<IssuedCertificate> {
      const uri = `spiffe://${trustDomain}/${request.spiffePath}`;
      if (parseSpiffeUri(uri) === null) {
        throw new Error(`issuing a certificate for '${uri}': it names no role of ours`);
      }
      if (request.notAfterMs <= request.notBeforeMs || request.notAfterMs > intermediateEndsMs) {
        throw new Error(
          `issuing a certificate for '${uri}' until ${new Date(request.notAfterMs).toISOString()}: it would end before it begins, or after its issuer`,
        );
      }
      const certificate = await issueLeaf({ ...request, uri }, files.intermediate);
      const issued = new X509Certificate(certificate);
      const keyId = keyIdOf(issued.publicKey);
      if (keyId === null)
        throw new Error(`issuing a certificate for '${uri}': its key is not P-256`);
      return {
        certificate,
        chain: [certificate, files.intermediateCertificate],
        serial: serialHex(issued.serialNumber),
        keyId,
        notAfterMs: issued.validToDate.getTime(),
      };
    },
  };
}

async function signerOf(files: KeyFiles, authority: Authority, nowMs: number): Promise<Signer> {
  const key = createPrivateKey(files.signerKeyPem);
  const intermediate = new X509Certificate(files.intermediateCertificate);
  const issued = await authority.issue({
    publicKeySpki: createPublicKey(key).export({ type: 'spki', format: 'der' }),
    commonName: 'Gap Junction signer',
    spiffePath: 'control-plane/signer',
    usage: 'signer',
    // What was written before this start may still wait for its signature, so the certificate covers the
    // key's whole life.
    notBeforeMs: intermediate.validFromDate.getTime(),
    notAfterMs: Math.min(nowMs + SIGNER_DAYS * DAY_MS, intermediate.validToDate.getTime()),
  });
  return {
    keyId: issued.keyId,
    chain: issued.chain,
    sign: async (bytes) => sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }),
  };
}

function heartbeatMasterOf(files: KeyFiles): HeartbeatMaster {
  return {
    keyId: HEARTBEAT_KEY_ID,
    hmac: async (bytes) => createHmac('sha256', files.heartbeatMasterKey).update(bytes).digest(),
  };
}
