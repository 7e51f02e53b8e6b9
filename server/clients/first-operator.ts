// Somebody has to be the first operator. On the first start the control plane makes him a key and a
// certificate in the data folder, once; every other operator brings a key of his own.
import { createPublicKey, randomBytes, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readCertificate } from '../../protocol/identity/certificate.ts';
import { makeId } from '../../protocol/identity/ids.ts';
import { keyIdOf } from '../../protocol/identity/key-id.ts';
import { serialHex } from '../../protocol/identity/serial.ts';
import { parseSpiffeUri } from '../../protocol/identity/spiffe.ts';
import { recordAudit } from '../audit/audit-store.ts';
import { recordCertificate } from '../certificates/certificate-store.ts';
import { issueHolderCertificate } from '../certificates/issue.ts';
import { readSecretFile, writeFolderWhole } from '../secrets/files.ts';
import { makeKey } from '../secrets/issue.ts';
import { certificatePem, certificatesOfPem } from '../secrets/pem.ts';
import type { Authority } from '../secrets/secrets.ts';
import type { Store } from '../store/store.ts';
import { hasOperator, insertOperator } from './client-store.ts';

/** In the data folder. */
export const FIRST_OPERATOR_FOLDER = 'first-operator';
export const FIRST_OPERATOR_KEY = 'operator.key';
export const FIRST_OPERATOR_CERTIFICATE = 'operator.crt';

/** Where the first operator's certificate and key are. */
export function firstOperatorFiles(dataDir: string): { cert: string; key: string } {
  const folder = join(dataDir, FIRST_OPERATOR_FOLDER);
  return {
    cert: join(folder, FIRST_OPERATOR_CERTIFICATE),
    key: join(folder, FIRST_OPERATOR_KEY),
  };
}

/**
 * Makes the first operator where the database knows none. The files come first and the record second, so
 * a kill in between is made good at the next start, from the same files.
 */
export async function ensureFirstOperator(deps: {
  readonly store: Store;
  readonly authority: Authority;
  readonly dataDir: string;
  readonly nowMs: number;
}): Promise<void> {
  if (await deps.store.read(hasOperator)) return;
  const folder = join(deps.dataDir, FIRST_OPERATOR_FOLDER);
  if (!existsSync(folder)) await writeFirstOperator(folder, deps.authority, deps.nowMs);
  const [der] = certificatesOfPem(readSecretFile(join(folder, FIRST_OPERATOR_CERTIFICATE)));
  const operator = der === undefined ? null : operatorOf(der, deps.authority);
  if (operator === null) {
    throw new Error(
      `recording the first operator: '${folder}' holds no operator's certificate of this control plane; remove the folder, and a new one is made`,
    );
  }
  await deps.store.transaction(async (em) => {
    await insertOperator(em, { operatorId: operator.holder.id, name: 'first operator' });
    await recordCertificate(em, operator);
    await recordAudit(em, {
      actor: 'control-plane',
      action: 'CERTIFICATE_ISSUED',
      subject: operator.holder.id,
      details: { serial: operator.serial, role: 'operator' },
    });
  });
}

async function writeFirstOperator(
  folder: string,
  authority: Authority,
  nowMs: number,
): Promise<void> {
  const key = await makeKey();
  const issued = await issueHolderCertificate(authority, {
    holder: { role: 'operator', id: makeId('o', randomBytes) },
    publicKeySpki: key.publicKeySpki,
    nowMs,
  });
  writeFolderWhole(folder, {
    [FIRST_OPERATOR_KEY]: key.pem,
    [FIRST_OPERATOR_CERTIFICATE]: issued.chain.map(certificatePem).join(''),
  });
}

function operatorOf(der: Uint8Array, authority: Authority) {
  const certificate = new X509Certificate(der);
  const intermediate = new X509Certificate(authority.intermediateCertificate);
  if (!certificate.verify(intermediate.publicKey)) return null;
  const [uri = ''] = readCertificate(der).uriNames;
  const name = parseSpiffeUri(uri);
  const keyId = keyIdOf(
    createPublicKey(certificate.publicKey.export({ type: 'spki', format: 'pem' })),
  );
  if (name?.identity.role !== 'operator' || keyId === null) return null;
  return {
    holder: { role: 'operator', id: name.identity.id } as const,
    serial: serialHex(certificate.serialNumber),
    keyId,
    certificate: der,
    notAfterMs: certificate.validToDate.getTime(),
  };
}
