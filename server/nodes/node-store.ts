// The named operations on nodes. Times are the database's.

import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import type { Beat } from './fleet.ts';
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
       engine_version, resident_memory_bytes, fuel_since_start, labels, isolation_level)
     values ($1, $2, 'enrolled', gap_junction_now_ms(), 0, $3, $4, $5, $6, $7, 0, '', '', 0, 0, '{}', 'PROCESS')
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
       issuer_certificate = $7, certificate_serial = $8, certificate_not_after_ms = $9
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

/** Null where there is no such node. */
export async function standingOf(em: EntityManager, nodeId: string): Promise<Standing | null> {
  const [row] = await query<{ standing: Standing }>(
    em,
    'select standing from node where node_id = $1',
    [nodeId],
  );
  return row?.standing ?? null;
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
  await query(em, 'update node set standing = $2 where node_id = $1', [nodeId, standing]);
}

/** All beats of the last seconds in one statement; `ageMs` is how long before now each was accepted. */
export async function recordBeats(
  em: EntityManager,
  beats: readonly (Beat & { readonly nodeId: string; readonly ageMs: number })[],
): Promise<void> {
  const rows = beats.map((beat) => ({
    node_id: beat.nodeId,
    age_ms: beat.ageMs,
    slots: beat.slots,
    agent_version: beat.agentVersion,
    engine_version: beat.engineVersion,
    resident_memory_bytes: String(beat.residentMemoryBytes),
    fuel_since_start: String(beat.fuelSinceStart),
  }));
  await query(
    em,
    `update node set last_beat_ms = now_ms - b.age_ms, lost_ms = null, slots = b.slots,
       agent_version = b.agent_version, engine_version = b.engine_version,
       resident_memory_bytes = b.resident_memory_bytes, fuel_since_start = b.fuel_since_start
     from gap_junction_now_ms() as now_ms, jsonb_to_recordset($1::jsonb) as b (
       node_id text, age_ms bigint, slots int, agent_version text, engine_version text,
       resident_memory_bytes bigint, fuel_since_start bigint)
     where node.node_id = b.node_id`,
    [JSON.stringify(rows)],
  );
}

export async function recordLost(em: EntityManager, nodeIds: readonly string[]): Promise<void> {
  await query(
    em,
    `update node set lost_ms = gap_junction_now_ms()
     where lost_ms is null and node_id in (select jsonb_array_elements_text($1::jsonb))`,
    [JSON.stringify(nodeIds)],
  );
}

/** How long ago its last beat was, as any replica wrote it; null for a node that never beat. */
export async function silentForMs(em: EntityManager, nodeId: string): Promise<number | null> {
  const [row] = await query<{ silent_ms: string | null }>(
    em,
    'select (gap_junction_now_ms() - last_beat_ms)::text as silent_ms from node where node_id = $1',
    [nodeId],
  );
  const silentMs = row?.silent_ms ?? null;
  return silentMs === null ? null : Number(silentMs);
}

export interface FleetRow {
  readonly nodeId: string;
  readonly standing: Standing;
  /** It beat, and was not lost since. */
  readonly live: boolean;
  readonly lastBeatMs: number | null;
}

/** Every node, as this replica must know it before it serves. */
export async function loadFleet(em: EntityManager): Promise<FleetRow[]> {
  const rows = await query<{
    node_id: string;
    standing: Standing;
    live: boolean;
    last_beat_ms: string | null;
  }>(
    em,
    `select node_id, standing, last_beat_ms is not null and lost_ms is null as live,
       last_beat_ms::text as last_beat_ms from node`,
  );
  return rows.map((row) => ({
    nodeId: row.node_id,
    standing: row.standing,
    live: row.live,
    lastBeatMs: row.last_beat_ms === null ? null : Number(row.last_beat_ms),
  }));
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
