// Keys and certificates of a simulation, made once for all seeds: a signature differs from run to run
// whatever the seed, and nothing that happens depends on one. Names do not differ.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { writeIdentity } from '../../agent/identity/identity-file.ts';
import { generateNodeKey, storeNodeKey, type NodeKey } from '../../agent/identity/node-key.ts';
import { openFolder } from '../../agent/folder.ts';
import { deriveKeys } from '../../protocol/heartbeat/keys.ts';
import { makeId } from '../../protocol/identity/ids.ts';
import { serialBytesOfHex } from '../../protocol/identity/serial.ts';
import type { CallerOf } from '../../server/rpc/service.ts';
import { openFileSecrets } from '../../server/secrets/file-secrets.ts';
import type { IssuedCertificate, Secrets } from '../../server/secrets/secrets.ts';
import { SeededRandom } from './random.ts';

export const TRUST_DOMAIN = 'simulation.gap-junction';

/** When each simulation begins; certificates are valid for weeks around it. */
export const START_MS = Date.UTC(2026, 0, 1);

const DAY_MS = 86_400_000;
const MOST_NODES = 4;

export interface NodeCredentials {
  readonly nodeId: string;
  readonly key: NodeKey;
  readonly issued: IssuedCertificate;
  readonly caller: CallerOf<'node'>;
}

export class Identities {
  readonly secrets: Secrets;
  readonly root: X509Certificate;
  readonly nodes: readonly NodeCredentials[];
  readonly #folder: string;

  private constructor(folder: string, secrets: Secrets, nodes: readonly NodeCredentials[]) {
    this.#folder = folder;
    this.secrets = secrets;
    this.root = new X509Certificate(secrets.authority.rootCertificate);
    this.nodes = nodes;
  }

  static async make(): Promise<Identities> {
    const folder = mkdtempSync(join(tmpdir(), 'gj-simulation-secrets-'));
    const secrets = await openFileSecrets({
      dataDir: folder,
      trustDomain: TRUST_DOMAIN,
      nowMs: START_MS - DAY_MS,
      inUse: false,
    });
    const random = SeededRandom.of(0).fork('nodes');
    const nodes: NodeCredentials[] = [];
    while (nodes.length < MOST_NODES) {
      nodes.push(await issueNode(secrets, makeId('n', random.bytes)));
    }
    return new Identities(folder, secrets, nodes);
  }

  /** Writes what an enrolment leaves in an agent's folder. */
  async enrol(path: string, node: NodeCredentials, addresses: readonly string[]): Promise<void> {
    const folder = openFolder(path);
    storeNodeKey(folder.keyFolder, node.key);
    const { heartbeatMaster } = this.secrets;
    const { up, down } = await deriveKeys((bytes) => heartbeatMaster.hmac(bytes), {
      nodeId: node.nodeId,
      serial: serialBytesOfHex(node.issued.serial),
    });
    writeIdentity(folder, {
      version: 1,
      addresses: [...addresses],
      root: new Uint8Array(this.root.raw),
      nodeId: node.nodeId,
      keyId: new Uint8Array(node.key.keyId),
      chain: node.issued.chain.map((der) => new Uint8Array(der)),
      heartbeat: {
        keyId: heartbeatMaster.keyId,
        up: new Uint8Array(up),
        down: new Uint8Array(down),
      },
      renewalCounter: 0,
      retired: [],
    });
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function issueNode({ authority }: Secrets, nodeId: string): Promise<NodeCredentials> {
  const key = generateNodeKey();
  const issued = await authority.issue({
    publicKeySpki: key.publicKey.export({ type: 'spki', format: 'der' }),
    commonName: nodeId,
    spiffePath: `node/${nodeId}`,
    usage: 'client',
    notBeforeMs: START_MS - DAY_MS,
    notAfterMs: START_MS + 30 * DAY_MS,
  });
  const caller = {
    kind: 'node',
    nodeId,
    serial: issued.serial,
    keyId: issued.keyId,
    expiresAtMs: issued.notAfterMs,
    chain: issued.chain,
  } as const;
  return { nodeId, key, issued, caller };
}
