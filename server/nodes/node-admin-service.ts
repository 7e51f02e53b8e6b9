// NodeAdminService: the fleet, for operators.

import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  Liveness,
  NodeAdminService,
  type NodeSchema as NodeMessageSchema,
  Standing as StandingMessage,
} from '#gen/gapjunction/admin/v1/node_admin_pb';
import { recordAudit } from '../audit/audit-store.ts';
import { revokeCertificatesOf } from '../certificates/certificate-store.ts';
import type { Revocations } from '../certificates/revocations.ts';
import { notFound, RpcError } from '../rpc/error.ts';
import { callerOf, implement, type ServiceImplementation } from '../rpc/service.ts';
import { databaseNowMs } from '../store/now.ts';
import type { Store } from '../store/store.ts';
import type { Fleet } from './fleet.ts';
import type { Node } from './node.entity.ts';
import { countLeases, findNode, listNodes, lockStanding, setStanding } from './node-store.ts';
import { nextStanding, type Standing } from './standing.ts';

export interface NodeAdminDeps {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly revocations: Pick<Revocations, 'announce'>;
}

const DEFAULT_PAGE_SIZE = 50;

export function nodeAdminService(deps: NodeAdminDeps): ServiceImplementation {
  const { store, fleet } = deps;
  return implement(NodeAdminService, {
    async listNodes(request) {
      const limit = request.pageSize === 0 ? DEFAULT_PAGE_SIZE : request.pageSize;
      const before = request.pageToken === '' ? null : readPageToken(request.pageToken);
      const nodes = await store.read((em) => listNodes(em, { before, limit }));
      const last = nodes.length === limit ? nodes.at(-1) : undefined;
      return {
        nodes: await messagesOf(deps, nodes),
        nextPageToken: last === undefined ? '' : `${last.enrolledMs}.${last.nodeId}`,
      };
    },

    async getNode(request) {
      const [node] = await messagesOf(deps, [await nodeOf(store, request.nodeId)]);
      return { node };
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
      const [node] = await messagesOf(deps, [await nodeOf(store, nodeId)]);
      return { node };
    },
  });
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
    // Memory is up to 2 s ahead of the database.
    const beat = fleet.lastBeat(node.nodeId) ?? node;
    const lastBeatMs = fleet.lastBeatMs(node.nodeId) ?? node.lastBeatMs ?? null;
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
    };
  });
}

const STANDING: Readonly<Record<Standing, StandingMessage>> = {
  enrolled: StandingMessage.ENROLLED,
  draining: StandingMessage.DRAINING,
  revoked: StandingMessage.REVOKED,
};

/** `<enrolled ms>.<node id>` of the last node of the page before. */
function readPageToken(token: string): { enrolledMs: number; nodeId: string } {
  const [, enrolledMs, nodeId] = /^(\d{1,15})\.([a-z2-7-]{1,64})$/.exec(token) ?? [];
  if (enrolledMs === undefined || nodeId === undefined) {
    throw new RpcError(
      'INVALID_ARGUMENT',
      'PAGE_TOKEN_INVALID',
      `reading the page token '${token}': take next_page_token of the last answer as it is`,
    );
  }
  return { enrolledMs: Number(enrolledMs), nodeId };
}
