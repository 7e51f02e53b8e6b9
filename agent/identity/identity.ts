// The node as it acts: its key and certificate, the root it pins, the keys of its heartbeats.
import { X509Certificate } from 'node:crypto';

import type { NodeIdentity as IssuedIdentity } from '#gen/gapjunction/node/v1/enrolment_pb';
import { HEARTBEAT_KEY_BYTES, HeartbeatKey } from '../../protocol/heartbeat/mac.ts';
import { sameBytes } from '../../protocol/bill/digest.ts';
import { CLIENT_AUTH_EKU_OID, readCertificate } from '../../protocol/identity/certificate.ts';
import { spiffeNameOf, type Certificate } from '../../protocol/identity/certificate.ts';
import { verifyChain } from '../../protocol/identity/chain.ts';
import { AgentError } from '../error.ts';
import type { AgentFolder } from '../folder.ts';
import { readIdentity, type IdentityRecord } from './identity-file.ts';
import { loadNodeKey, type NodeKey } from './node-key.ts';

/** A key of this node, with the chain that proves whose it is. */
export interface SigningKey {
  readonly key: NodeKey;
  /** DER, leaf first, the root left off. */
  readonly chain: readonly Uint8Array[];
}

export interface NodeIdentity extends SigningKey {
  readonly record: IdentityRecord;
  readonly nodeId: string;
  readonly trustDomain: string;
  readonly root: X509Certificate;
  readonly certificate: Certificate;
  readonly heartbeat: {
    readonly keyId: number;
    readonly up: HeartbeatKey;
    readonly down: HeartbeatKey;
  };
  /** Earlier keys that orders may still name. */
  readonly retired: readonly SigningKey[];
}

/**
 * Reads the node's identity. Throws AgentError NOT_ENROLLED where there is none, IDENTITY_DAMAGED where a
 * part is missing, half written, readable by others, or does not belong to the rest.
 */
export function openIdentity(folder: AgentFolder): NodeIdentity {
  const record = readIdentity(folder);
  if (record === null) {
    throw new AgentError(
      'NOT_ENROLLED',
      `opening the node in '${folder.path}': it is not enrolled yet; run 'gap-junction agent enrol' first`,
    );
  }
  return identityOfRecord(folder, record);
}

/** The same from a record that is at hand. */
export function identityOfRecord(folder: AgentFolder, record: IdentityRecord): NodeIdentity {
  const key = loadNodeKey(folder.keyFolder, record.keyId);
  const [leaf] = record.chain;
  if (leaf === undefined) throw damaged(folder, 'it has no certificate');
  const certificate = readCertificate(leaf);
  const name = spiffeNameOf(certificate);
  if (!sameBytes(certificate.keyId, record.keyId)) {
    throw damaged(folder, 'its certificate is for another key');
  }
  if (name?.identity.role !== 'node' || name.identity.id !== record.nodeId) {
    throw damaged(folder, `its certificate is not for the node '${record.nodeId}'`);
  }
  return {
    record,
    key,
    chain: record.chain,
    nodeId: record.nodeId,
    trustDomain: name.trustDomain,
    root: new X509Certificate(record.root),
    certificate,
    heartbeat: {
      keyId: record.heartbeat.keyId,
      up: new HeartbeatKey(record.heartbeat.up),
      down: new HeartbeatKey(record.heartbeat.down),
    },
    retired: record.retired.map(({ keyId, chain }) => ({
      key: loadNodeKey(folder.keyFolder, keyId),
      chain,
    })),
  };
}

/** The key of this id, current or retired, or null. */
export function signingKeyOf(identity: NodeIdentity, keyId: Uint8Array): SigningKey | null {
  return [identity, ...identity.retired].find(({ key }) => sameBytes(key.keyId, keyId)) ?? null;
}

/**
 * What a node keeps of an answer to Enrol or Renew. Throws AgentError CONTROL_PLANE_UNTRUSTED unless the
 * chain leads to the pinned root now and the certificate is for this key, for connecting as a client, and
 * for the node id that the answer names (`expectedNodeId` where we have one).
 */
export function acceptIssued(
  issued: IssuedIdentity | undefined,
  {
    root,
    key,
    now,
    expectedNodeId,
  }: {
    readonly root: X509Certificate;
    readonly key: NodeKey;
    /** Unix milliseconds. */
    readonly now: number;
    readonly expectedNodeId: string | null;
  },
): Pick<IdentityRecord, 'nodeId' | 'keyId' | 'chain' | 'heartbeat' | 'renewalCounter'> {
  if (issued?.heartbeatKeys === undefined) throw untrusted('it has no identity');
  const verdict = verifyChain({ chain: issued.certificateChain, root, atMs: now });
  if (!verdict.ok) throw untrusted(verdict.problem);
  const { leaf } = verdict;
  if (!sameBytes(leaf.keyId, key.keyId)) throw untrusted('the certificate is for another key');
  const identity = spiffeNameOf(leaf)?.identity;
  if (identity?.role !== 'node' || identity.id !== issued.nodeId) {
    throw untrusted(`the certificate is not for the node '${issued.nodeId.slice(0, 64)}'`);
  }
  if (expectedNodeId !== null && issued.nodeId !== expectedNodeId) {
    throw untrusted(`the certificate is for '${issued.nodeId}', this node is '${expectedNodeId}'`);
  }
  if (!leaf.extendedKeyUsages.includes(CLIENT_AUTH_EKU_OID)) {
    throw untrusted('the certificate is not for TLS clients');
  }
  const { keyId, nodeToControlPlane: up, controlPlaneToNode: down } = issued.heartbeatKeys;
  if (up.length !== HEARTBEAT_KEY_BYTES || down.length !== HEARTBEAT_KEY_BYTES) {
    throw untrusted('a heartbeat key has the wrong length');
  }
  return {
    nodeId: issued.nodeId,
    keyId: new Uint8Array(key.keyId),
    chain: issued.certificateChain.map((der) => new Uint8Array(der)),
    heartbeat: { keyId, up: new Uint8Array(up), down: new Uint8Array(down) },
    renewalCounter: Number(issued.renewalCounter),
  };
}

function untrusted(problem: string): AgentError {
  return new AgentError(
    'CONTROL_PLANE_UNTRUSTED',
    `checking the identity that the control plane issued: ${problem}; check this machine's clock, then tell the operator`,
  );
}

function damaged(folder: AgentFolder, problem: string): AgentError {
  return new AgentError(
    'IDENTITY_DAMAGED',
    `reading '${folder.identityFile}': ${problem}; restore it, or enrol again with 'agent enrol --replace'`,
  );
}
