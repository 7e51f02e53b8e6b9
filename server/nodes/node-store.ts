// The named operations on nodes. Times are the database's.

import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { Node } from './node.entity.ts';
import type { Standing } from './standing.ts';

/** A certificate as it is written into a node's row. */
export interface BoundCertificate {
  readonly keyId: Uint8Array;
  readonly certificate: Uint8Array;
  readonly issuerCertificate: Uint8Array;
  readonly serial: string;
  readonly notAfterMs: number;
}

export async function findNode(em: EntityManager, nodeId: string): Promise<Node | null> {
  return em.findOne(Node, { nodeId });
}

export async function nodeOfAccount(em: EntityManager, accountId: string): Promise<Node | null> {
  return em.findOne(Node, { accountId });
}

/** Newest first, those before the position where one is given, at most `limit`. */
export async function listNodes(
  em: EntityManager,
  page: {
    readonly before: { readonly enrolledMs: number; readonly nodeId: string } | null;
    readonly limit: number;
  },
): Promise<Node[]> {
  const { before } = page;
  const where =
    before === null
      ? {}
      : {
          $or: [
            { enrolledMs: { $lt: before.enrolledMs } },
            { enrolledMs: before.enrolledMs, nodeId: { $lt: before.nodeId } },
          ],
        };
  return em.find(Node, where, {
    orderBy: { enrolledMs: 'desc', nodeId: 'desc' },
    limit: page.limit,
  });
}

/** How many leases each of these nodes holds; absent means none. */
export async function countLeases(
  em: EntityManager,
  nodeIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await query<{ node_id: string; leases: number }>(
    em,
    `select node_id, count(*)::int as leases from attempt
     where state in ('leased', 'acknowledged')
       and node_id in (select jsonb_array_elements_text($1::jsonb)) group by node_id`,
    [JSON.stringify(nodeIds)],
  );
  return new Map(rows.map(({ node_id: nodeId, leases }) => [nodeId, leases]));
}

/** False where the account has a node already. */
export async function insertNode(
  em: EntityManager,
  node: { readonly nodeId: string; readonly accountId: string },
  bound: BoundCertificate,
): Promise<boolean> {
  const rows = await query(
    em,
    `insert into node (node_id, account_id, standing, enrolled_ms, renewal_counter, key_id, certificate,
       issuer_certificate, certificate_serial, certificate_not_after_ms, slots, agent_version,
       engine_version, resident_memory_bytes, fuel_since_start, labels, isolation_level, work_streams,
       revision, changed_ms)
     values ($1, $2, 'enrolled', gap_junction_now_ms(), 0, $3, $4, $5, $6, $7, 0, '', '', 0, 0, '{}',
       'PROCESS', 0, 0, gap_junction_now_ms())
     on conflict (account_id) do nothing returning node_id`,
    [
      node.nodeId,
      node.accountId,
      bound.keyId,
      bound.certificate,
      bound.issuerCertificate,
      bound.serial,
      bound.notAfterMs,
    ],
  );
  return rows.length === 1;
}

/**
 * Gives a node that enrols again its new key; its renewals count from 0. False where the row is not as
 * `expected`: someone else changed it meanwhile.
 */
export async function rebindNode(
  em: EntityManager,
  expected: { readonly nodeId: string; readonly standing: Standing; readonly serial: string },
  standing: Standing,
  bound: BoundCertificate,
): Promise<boolean> {
  const rows = await query(
    em,
    `update node set standing = $4, renewal_counter = 0, key_id = $5, certificate = $6,
       issuer_certificate = $7, certificate_serial = $8, certificate_not_after_ms = $9,
       revision = revision + 1, changed_ms = gap_junction_now_ms()
     where node_id = $1 and standing = $2 and certificate_serial = $3 returning node_id`,
    [
      expected.nodeId,
      expected.standing,
      expected.serial,
      standing,
      bound.keyId,
      bound.certificate,
      bound.issuerCertificate,
      bound.serial,
      bound.notAfterMs,
    ],
  );
  return rows.length === 1;
}

/** The renewal of this number. False where it is not the next one, or the node is revoked. */
export async function renewNode(
  em: EntityManager,
  renewal: { readonly nodeId: string; readonly counter: bigint },
  bound: BoundCertificate,
): Promise<boolean> {
  const rows = await query(
    em,
    `update node set renewal_counter = $2::bigint, key_id = $3, certificate = $4,
       issuer_certificate = $5, certificate_serial = $6, certificate_not_after_ms = $7
     where node_id = $1 and renewal_counter = $2::bigint - 1 and standing <> 'revoked'
     returning node_id`,
    [
      renewal.nodeId,
      renewal.counter,
      bound.keyId,
      bound.certificate,
      bound.issuerCertificate,
      bound.serial,
      bound.notAfterMs,
    ],
  );
  return rows.length === 1;
}

/** The standing before, with the row locked until the transaction ends; null where there is no node. */
export async function lockStanding(em: EntityManager, nodeId: string): Promise<Standing | null> {
  const [row] = await query<{ standing: Standing }>(
    em,
    'select standing from node where node_id = $1 for update',
    [nodeId],
  );
  return row?.standing ?? null;
}

export async function setStanding(
  em: EntityManager,
  nodeId: string,
  standing: Standing,
): Promise<void> {
  await query(
    em,
    `update node set standing = $2, revision = revision + 1, changed_ms = gap_junction_now_ms()
     where node_id = $1`,
    [nodeId, standing],
  );
}

/** What the node says of itself. `isolationLevel`: the number of the contract's IsolationLevel, 1 or 2. */
export async function recordIntroduction(
  em: EntityManager,
  nodeId: string,
  said: { readonly labels: Readonly<Record<string, string>>; readonly isolationLevel: number },
): Promise<void> {
  const level = said.isolationLevel >= IsolationLevel.NAMESPACES ? 'NAMESPACES' : 'PROCESS';
  await query(
    em,
    `update node set labels = $2::jsonb, isolation_level = $3
      where node_id = $1 and (labels, isolation_level) is distinct from ($2::jsonb, $3)`,
    [nodeId, JSON.stringify(said.labels), level],
  );
}

/** Whether a beat of the node was accepted, by any replica, within its lost-period. */
export async function isHeard(em: EntityManager, nodeId: string): Promise<boolean> {
  const rows = await query(
    em,
    `select node_id from node
      where node_id = $1 and lost_ms is null and last_beat_ms + lost_period_ms > gap_junction_now_ms()`,
    [nodeId],
  );
  return rows.length > 0;
}
