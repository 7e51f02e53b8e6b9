// Renewal: a new key and certificate under the same node id, over the live certificate. The key and the
// counter are on disk before they are sent and are repeated in every retry, so that a lost answer, or the
// end of this process at any line, leaves one key and one counter, never two.
import { Code, ConnectError, type Client } from '@connectrpc/connect';

import type { EnrolmentService } from '#gen/gapjunction/node/v1/enrolment_pb';
import { AgentError } from '../error.ts';
import type { AgentFolder } from '../folder.ts';
import { reasonOf } from '../control-plane/rpc-failure.ts';
import { certificateRequest } from './certificate-request.ts';
import { acceptIssued, identityOfRecord, type NodeIdentity } from './identity.ts';
import {
  erasePending,
  readPending,
  writeIdentity,
  writePending,
  type IdentityRecord,
} from './identity-file.ts';
import { eraseNodeKey, generateNodeKey, loadNodeKey, storeNodeKey } from './node-key.ts';
import type { NodeKey } from './node-key.ts';

/**
 * Renews once and answers the new identity, which is on disk by then; the old key is kept as retired.
 * Throws AgentError NODE_SUPERSEDED when these files are older than the node's last renewal, and whatever
 * the call threw otherwise: call again.
 */
export async function renew(
  folder: AgentFolder,
  identity: NodeIdentity,
  {
    client,
    now,
    signal,
  }: {
    readonly client: Client<typeof EnrolmentService>;
    /** Unix milliseconds. */
    readonly now: number;
    readonly signal: AbortSignal;
  },
): Promise<NodeIdentity> {
  const renewalCounter = identity.record.renewalCounter + 1;
  const key = pendingKey(folder, renewalCounter);
  const csr = await certificateRequest(key);
  const answer = await client
    .renew({ csr, renewalCounter: BigInt(renewalCounter) }, { signal })
    .catch((error: unknown) => {
      throw isSuperseded(error) ? superseded(error) : error;
    });
  const issued = acceptIssued(answer.identity, {
    root: identity.root,
    key,
    now,
    expectedNodeId: identity.nodeId,
  });
  const record: IdentityRecord = {
    ...identity.record,
    ...issued,
    retired: [
      { keyId: identity.record.keyId, chain: identity.record.chain },
      ...identity.record.retired,
    ],
  };
  writeIdentity(folder, record);
  erasePending(folder);
  return identityOfRecord(folder, record);
}

/** The key that this counter was begun with, or a new one, on disk before anyone hears of it. */
function pendingKey(folder: AgentFolder, renewalCounter: number): NodeKey {
  const pending = readPending(folder);
  if (pending?.renewalCounter === renewalCounter) {
    return loadNodeKey(folder.keyFolder, pending.keyId);
  }
  const key = generateNodeKey();
  storeNodeKey(folder.keyFolder, key);
  writePending(folder, { version: 1, keyId: new Uint8Array(key.keyId), renewalCounter });
  return key;
}

/** Drops the retired keys that `isNamed` (by an order that is not complete) says no to. */
export function dropRetiredKeys(
  folder: AgentFolder,
  identity: NodeIdentity,
  isNamed: (keyId: Uint8Array) => boolean,
): NodeIdentity {
  const retired = identity.record.retired.filter(({ keyId }) => isNamed(keyId));
  if (retired.length === identity.record.retired.length) return identity;
  const record = { ...identity.record, retired };
  writeIdentity(folder, record);
  for (const { keyId } of identity.record.retired) {
    if (!isNamed(keyId)) eraseNodeKey(folder.keyFolder, keyId);
  }
  return identityOfRecord(folder, record);
}

function isSuperseded(error: unknown): boolean {
  return (
    error instanceof ConnectError &&
    error.code === Code.FailedPrecondition &&
    reasonOf(error) === 'RENEWAL_SUPERSEDED'
  );
}

function superseded(cause: unknown): AgentError {
  return new AgentError(
    'NODE_SUPERSEDED',
    "renewing the certificate: this copy of the node's files is older than its last renewal; use the newer copy, or enrol again with 'agent enrol --replace'",
    { cause },
  );
}
