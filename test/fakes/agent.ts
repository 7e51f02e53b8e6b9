// An agent's parts without a control plane: a folder with an identity under a test authority, and orders
// as its control plane would sign them.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { pino } from 'pino';

import { OrderSchema, type Order } from '#gen/gapjunction/node/v1/dispatch_pb';

import type { AgentEvent } from '../../agent/events.ts';
import { openFolder, type AgentFolder } from '../../agent/folder.ts';
import { openIdentity, type NodeIdentity } from '../../agent/identity/identity.ts';
import { writeIdentity } from '../../agent/identity/identity-file.ts';
import { generateNodeKey, storeNodeKey } from '../../agent/identity/node-key.ts';
import { PAYLOAD_TYPE, signEnvelope } from '../../protocol/bill/envelope.ts';
import { encodeWorkOrder } from '../../protocol/bill/work-order.ts';
import type { IssuedCertificate, KeyPair, LeafOptions, TestAuthority } from './authority.ts';
import { NODE_ID, orderTerms, type OrderTerms } from './bill.ts';

export const silentLog = pino({ level: 'silent' });

/** A folder of its own for each test, erased with `dispose`. */
export function temporaryFolder(): { folder: AgentFolder; dispose: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'gap-junction-agent-'));
  return {
    folder: openFolder(path),
    dispose: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Stores an identity of NODE_ID in the folder, as an enrolment would have. */
export async function enrolled(
  folder: AgentFolder,
  authority: TestAuthority,
  options: LeafOptions & { readonly nodeId?: string } = {},
): Promise<NodeIdentity> {
  const key = generateNodeKey();
  storeNodeKey(folder.keyFolder, key);
  const nodeId = options.nodeId ?? NODE_ID;
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const keys: KeyPair = {
    privateKey: key.privateKey,
    publicKey: key.publicKey,
    privateKeyPem: '',
    webCrypto: {
      privateKey: key.privateKey.toCryptoKey(algorithm, true, ['sign']),
      publicKey: key.publicKey.toCryptoKey(algorithm, true, ['verify']),
    },
  };
  const issued = await authority.node(nodeId, { keys, ...options });
  writeIdentity(folder, {
    version: 1,
    addresses: ['127.0.0.1:1'],
    root: new Uint8Array(authority.rootCertificate.raw),
    nodeId,
    keyId: new Uint8Array(key.keyId),
    chain: issued.chain.map((der) => new Uint8Array(der)),
    heartbeat: {
      keyId: 1,
      up: new Uint8Array(randomBytes(32)),
      down: new Uint8Array(randomBytes(32)),
    },
    renewalCounter: 0,
    retired: [],
  });
  return openIdentity(folder);
}

export interface OrderChanges {
  readonly terms?: Partial<OrderTerms>;
  readonly order?: Pick<
    MessageInitShape<typeof OrderSchema>,
    'envelope' | 'signerChain' | 'inlineInput' | 'requestId'
  >;
  readonly payloadType?: (typeof PAYLOAD_TYPE)[keyof typeof PAYLOAD_TYPE];
}

/** An order for the node, signed by `signer`. */
export async function signedOrder(
  signer: IssuedCertificate,
  nodeKeyId: Uint8Array,
  { terms = {}, order = {}, payloadType = PAYLOAD_TYPE.workOrder }: OrderChanges = {},
): Promise<Order> {
  const payload = encodeWorkOrder({ ...orderTerms(nodeKeyId, Date.now()), ...terms });
  const envelope = await signEnvelope({ payloadType, payload, signer: signer.signer });
  return create(OrderSchema, {
    envelope,
    signerChain: [...signer.chain],
    inlineInput: Buffer.from('input'),
    ...order,
  });
}

/** Keeps what an agent told, and lets a test wait for an event. */
export class EventRecord {
  readonly events: AgentEvent[] = [];
  readonly #waiting = new Set<() => void>();

  readonly tell = (event: AgentEvent): void => {
    this.events.push(event);
    for (const wake of this.#waiting) wake();
  };

  /** The `count`-th event of this name. */
  async next<N extends AgentEvent['event']>(
    name: N,
    count = 1,
  ): Promise<Extract<AgentEvent, { event: N }>> {
    for (;;) {
      const found = this.events.filter(({ event }) => event === name)[count - 1];
      if (found !== undefined) return found as Extract<AgentEvent, { event: N }>;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }
}
