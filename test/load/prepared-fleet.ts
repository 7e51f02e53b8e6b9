// A fleet made beforehand: keys, certificates and rows of so many nodes, written before the control plane
// starts, as enrolment would have left them. Enrolling thousands by way of Stripe is another test.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { makeId } from '../../protocol/identity/ids.ts';
import { systemClock } from '../../server/clock.ts';
import { DEVELOPMENT_TRUST_DOMAIN } from '../../server/config.ts';
import { issueNodeCertificate, nodeIdentity } from '../../server/enrolment/node-certificate.ts';
import { insertNode } from '../../server/nodes/node-store.ts';
import { openFileSecrets } from '../../server/secrets/file-secrets.ts';
import { certificatePem } from '../../server/secrets/pem.ts';
import { openStore } from '../../server/store/open.ts';
import type { StoreLocation } from '../../server/store/location.ts';

/** What one simulated agent holds; JSON, with bytes in base64. */
export interface PreparedNode {
  readonly nodeId: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly keyId: string;
  readonly heartbeatKeyId: number;
  readonly up: string;
  readonly down: string;
}

const CERTIFICATE_LIFE_MS = 24 * 3_600_000;

/** Rows of one transaction. */
const BATCH = 500;

/** Makes `count` nodes in this data folder and database, and writes what they hold to the file. */
export async function prepareFleet(options: {
  readonly dataDir: string;
  readonly store: StoreLocation;
  readonly count: number;
  readonly file: string;
}): Promise<void> {
  const { dataDir, count, file } = options;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const nowMs = systemClock.now();
  const store = await openStore(options.store, { clock: systemClock, exclusive: true });
  const lines: string[] = [];
  try {
    const { authority, heartbeatMaster } = await openFileSecrets({
      dataDir,
      trustDomain: DEVELOPMENT_TRUST_DOMAIN,
      nowMs,
      inUse: false,
    });
    for (let made = 0; made < count; made += BATCH) {
      const nodes = await Promise.all(
        Array.from({ length: Math.min(BATCH, count - made) }, async () => {
          const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
          const nodeId = makeId('n', randomBytes);
          const bound = await issueNodeCertificate(authority, {
            nodeId,
            publicKeySpki: publicKey.export({ type: 'spki', format: 'der' }),
            nowMs,
            lifeMs: CERTIFICATE_LIFE_MS,
          });
          const identity = await nodeIdentity(heartbeatMaster, { nodeId, ...bound }, 0n);
          return { nodeId, bound, identity, privateKey };
        }),
      );
      await store.transaction(async (em) => {
        for (const { nodeId, bound } of nodes) {
          await insertNode(em, { nodeId, accountId: `acct_${nodeId.slice(2)}` }, bound);
        }
      });
      for (const { nodeId, bound, identity, privateKey } of nodes) {
        const { keyId, nodeToControlPlane, controlPlaneToNode } = identity.heartbeatKeys!;
        const prepared: PreparedNode = {
          nodeId,
          certificatePem: [bound.certificate, bound.issuerCertificate].map(certificatePem).join(''),
          privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
          keyId: base64(bound.keyId),
          heartbeatKeyId: keyId!,
          up: base64(nodeToControlPlane!),
          down: base64(controlPlaneToNode!),
        };
        lines.push(JSON.stringify(prepared));
      }
    }
  } finally {
    await store.close();
  }
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
}

/** Where a fleet's keys lie while a load runs. */
export function fleetFile(folder: string): string {
  return join(folder, 'fleet.jsonl');
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
