// NodeAdminService: the fleet, for operators.

import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  Liveness,
  NodeAdminService,
  type NodeSchema as NodeMessageSchema,
  Standing as StandingMessage,
} from '#gen/gapjunction/admin/v1/node_admin_pb';
import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import { recordAudit } from '../audit/audit-store.ts';
import { revokeCertificatesOf } from '../certificates/certificate-store.ts';
import type { Revocations } from '../certificates/revocations.ts';
import { MAX_CLOCK_DISTANCE_MS } from '../clock-distance.ts';
import { notFound, RpcError } from '../rpc/error.ts';
import { pageLimit, pageOf, readPageToken } from '../rpc/page.ts';
import { callerOf, implement, type ServiceImplementation } from '../rpc/service.ts';
import { databaseNowMs } from '../store/now.ts';
import type { Store } from '../store/store.ts';
import type { Fleet } from './fleet.ts';
import type { Node } from './node.entity.ts';
import { countLeases, findNode, listNodes, lockStanding, setStanding } from './node-store.ts';
import { nextStanding, type Standing, type StandingEvent } from './standing.ts';

export interface NodeAdminDeps {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly revocations: Pick<Revocations, 'announce'>;
}

export function nodeAdminService(deps: NodeAdminDeps): ServiceImplementation {
  const { store, fleet } = deps;
  return implement(NodeAdminService, {
    async listNodes(request) {
      const [enrolledMs, nodeId] =
        readPageToken(request.pageToken, /^\d{1,15},n-[a-z2-7]{20}$/) ?? [];
      const before =
        enrolledMs === undefined || nodeId === undefined
          ? null
          : { enrolledMs: Number(enrolledMs), nodeId };
      const limit = pageLimit(request.pageSize);
      const found = await store.read((em) => listNodes(em, { before, limit: limit + 1 }));
      const { items, nextPageToken } = pageOf(found, limit, (last) => [
        last.enrolledMs,
        last.nodeId,
      ]);
      return { nodes: await messagesOf(deps, items), nextPageToken };
    },

    async getNode(request) {
      return { node: await messageOf(deps, request.nodeId) };
    },

    async cordonNode(request, context) {
      const { operatorId } = callerOf(context, 'operator');
      return { node: await changeStanding(deps, { ...request, event: 'cordon', operatorId }) };
    },

    async uncordonNode(request, context) {
      const { operatorId } = callerOf(context, 'operator');
      return { node: await changeStanding(deps, { ...request, event: 'uncordon', operatorId }) };
    },

    async drainNode(request, context) {
      const { operatorId } = callerOf(context, 'operator');
      return { node: await changeStanding(deps, { ...request, event: 'drain', operatorId }) };
    },

    async revokeNode(request, context) {
      const { operatorId } = callerOf(context, 'operator');
      const { nodeId, reason } = request;
      const serials = await store.transaction(async (em) => {
        const standing = await lockStanding(em, nodeId);
        if (standing === null) throw notFound('the node', nodeId);
        if (standing === 'revoked') return [];
        await setStanding(em, nodeId, nextStanding(standing, 'revoke') ?? standing);
        const holder = { role: 'node', id: nodeId } as const;
        const revoked = await revokeCertificatesOf(em, holder, await databaseNowMs(em));
        await recordAudit(em, {
          actor: `operator/${operatorId}`,
          action: 'NODE_REVOKED',
          subject: nodeId,
          details: { reason, standing_before: standing },
        });
        return revoked;
      });
      fleet.standingChanged(nodeId, 'revoked');
      deps.revocations.announce(serials);
      fleet.certificatesRevoked(nodeId);
      return { node: await messageOf(deps, nodeId) };
    },
  });
}

/** What an operator may ask for and take back; each has its own line in the audit log. */
const ACTION = {
  cordon: 'NODE_CORDONED',
  uncordon: 'NODE_UNCORDONED',
  drain: 'NODE_DRAINED',
} as const satisfies Partial<Record<StandingEvent, string>>;

/** Answers the node after it. Asked for again, it changes nothing and is audited no more. */
async function changeStanding(
  deps: NodeAdminDeps,
  change: {
    readonly nodeId: string;
    readonly event: keyof typeof ACTION;
    readonly reason: string;
    readonly operatorId: string;
  },
): Promise<MessageInitShape<typeof NodeMessageSchema>> {
  const { nodeId, event, reason, operatorId } = change;
  const standing = await deps.store.transaction(async (em) => {
    const before = await lockStanding(em, nodeId);
    if (before === null) throw notFound('the node', nodeId);
    const after = nextStanding(before, event);
    if (after === null) {
      throw new RpcError(
        'FAILED_PRECONDITION',
        'NODE_REVOKED',
        `asking for a ${event} of '${nodeId}': it is revoked; its owner may enrol again with replace`,
      );
    }
    if (after === before) return after;
    await setStanding(em, nodeId, after);
    await recordAudit(em, {
      actor: `operator/${operatorId}`,
      action: ACTION[event],
      subject: nodeId,
      details: { reason, standing_before: before },
    });
    return after;
  });
  deps.fleet.standingChanged(nodeId, standing);
  return messageOf(deps, nodeId);
}

async function messageOf(
  deps: NodeAdminDeps,
  nodeId: string,
): Promise<MessageInitShape<typeof NodeMessageSchema>> {
  const [message] = await messagesOf(deps, [await nodeOf(deps.store, nodeId)]);
  return message!;
}

async function nodeOf(store: Store, nodeId: string): Promise<Node> {
  const node = await store.read((em) => findNode(em, nodeId));
  if (node === null) throw notFound('the node', nodeId);
  return node;
}

async function messagesOf(
  { store, fleet }: NodeAdminDeps,
  nodes: readonly Node[],
): Promise<MessageInitShape<typeof NodeMessageSchema>[]> {
  const ids = nodes.map(({ nodeId }) => nodeId);
  const leases = await store.read((em) => countLeases(em, ids));
  return nodes.map((node) => {
    const heard = fleet.lastBeat(node.nodeId);
    const storedMs = node.lastBeatMs ?? null;
    // Memory is up to 2 s ahead of the database, where no other replica heard the node since.
    const isNewest = heard !== null && heard.atMs >= (storedMs ?? 0) - MAX_CLOCK_DISTANCE_MS;
    const beat = isNewest ? heard : node;
    const lastBeatMs = isNewest ? heard.atMs : storedMs;
    return {
      nodeId: node.nodeId,
      stripeAccountId: node.accountId,
      standing: STANDING[node.standing],
      liveness: fleet.isLive(node.nodeId) ? Liveness.LIVE : Liveness.LOST,
      enrolledAt: timestampFromMs(node.enrolledMs),
      ...(lastBeatMs === null ? {} : { lastBeatAt: timestampFromMs(lastBeatMs) }),
      certificateExpiresAt: timestampFromMs(node.certificateNotAfterMs),
      keyId: node.keyId,
      slots: beat.slots,
      agentVersion: beat.agentVersion,
      engineVersion: beat.engineVersion,
      residentMemoryBytes: beat.residentMemoryBytes,
      fuelSinceStart: beat.fuelSinceStart,
      leases: leases.get(node.nodeId) ?? 0,
      labels: node.labels,
      isolationLevel: IsolationLevel[node.isolationLevel],
    };
  });
}

const STANDING: Readonly<Record<Standing, StandingMessage>> = {
  enrolled: StandingMessage.ENROLLED,
  cordoned: StandingMessage.CORDONED,
  draining: StandingMessage.DRAINING,
  revoked: StandingMessage.REVOKED,
};
