// What the database knows of who is heard: the truth that all replicas share. Times are the database's.

import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { SILENT_PART, type Silence, type SilentNode } from './liveness.ts';
import type { NewestStream } from './newest-stream.ts';
import type { Standing } from './standing.ts';

/** What every replica must know of a node. */
export interface FleetRow {
  readonly nodeId: string;
  readonly standing: Standing;
  /** It beat, and was not lost since. */
  readonly isLive: boolean;
  readonly newest: NewestStream | null;
  /** Rises with each change of the row's standing, newest stream, or between live and lost. */
  readonly revision: number;
}

interface StoredFleetRow {
  readonly node_id: string;
  readonly standing: Standing;
  readonly is_live: boolean;
  readonly newest_stream_id: Uint8Array | null;
  readonly newest_stream_first_beat_ms: string | null;
  readonly revision: string;
}

const FLEET_COLUMNS = `
  node_id, standing, last_beat_ms is not null and lost_ms is null as is_live, newest_stream_id,
  newest_stream_first_beat_ms::text, revision::text`;

const SELECT_FLEET = `select ${FLEET_COLUMNS} from node`;

/** Every node, or those that changed at or after `sinceMs`. */
export async function readFleet(
  em: EntityManager,
  sinceMs: number | null,
): Promise<readonly FleetRow[]> {
  const rows =
    sinceMs === null
      ? await query<StoredFleetRow>(em, SELECT_FLEET)
      : await query<StoredFleetRow>(em, `${SELECT_FLEET} where changed_ms >= $1::bigint`, [
          sinceMs,
        ]);
  return rows.map(fleetRowOf);
}

/** These nodes; unknown ones are left out. */
export async function readNodes(
  em: EntityManager,
  nodeIds: readonly string[],
): Promise<readonly FleetRow[]> {
  const rows = await query<StoredFleetRow>(
    em,
    `${SELECT_FLEET} where node_id in (select jsonb_array_elements_text($1::jsonb))`,
    [JSON.stringify(nodeIds)],
  );
  return rows.map(fleetRowOf);
}

function fleetRowOf(row: StoredFleetRow): FleetRow {
  const { newest_stream_id: streamId, newest_stream_first_beat_ms: firstBeatMs } = row;
  return {
    nodeId: row.node_id,
    standing: row.standing,
    isLive: row.is_live,
    newest:
      streamId === null || firstBeatMs === null
        ? null
        : { streamId, firstBeatMs: Number(firstBeatMs) },
    revision: Number(row.revision),
  };
}

/** A stream whose first beat is about to be accepted. */
export interface StreamClaim {
  readonly nodeId: string;
  readonly stream: NewestStream;
  /** The newest when this stream was opened. */
  readonly seen: NewestStream | null;
  readonly lostPeriodMs: number;
}

/**
 * Makes the stream its node's newest, and the node live. Answers the row after it, or null where another
 * stream, opened after this one, had its first beat accepted meanwhile: then this beat is the older one's.
 */
async function claimStream(
  em: EntityManager,
  { nodeId, stream, seen, lostPeriodMs }: StreamClaim,
): Promise<FleetRow | null> {
  const [row] = await query<StoredFleetRow>(
    em,
    `update node set newest_stream_id = $2, newest_stream_first_beat_ms = $3::bigint,
       last_beat_ms = now_ms, lost_ms = null, lost_period_ms = $4::bigint,
       revision = revision + 1, changed_ms = now_ms
     from gap_junction_now_ms() as now_ms
     where node_id = $1 and (newest_stream_id is not distinct from $5::bytea
       or newest_stream_first_beat_ms <= $3::bigint)
     returning ${FLEET_COLUMNS}`,
    [nodeId, stream.streamId, stream.firstBeatMs, lostPeriodMs, seen?.streamId ?? null],
  );
  return row === undefined ? null : fleetRowOf(row);
}

/** Of many streams at once, in an order in which replicas do not wait for each other in a circle. */
export async function claimStreams(
  em: EntityManager,
  claims: readonly StreamClaim[],
): Promise<readonly (FleetRow | null)[]> {
  const answers = new Map<StreamClaim, FleetRow | null>();
  const inOrder = claims.toSorted(byNodeId);
  for (const claim of inOrder) answers.set(claim, await claimStream(em, claim));
  return claims.map((claim) => answers.get(claim) ?? null);
}

/** Who is silent at `nowMs`, with how many there are to compare with: one look at every node. */
export async function readSilence(
  em: EntityManager,
  nowMs: number,
): Promise<Omit<Silence, 'deafMs'>> {
  const [row] = await query<{
    live_before: number;
    lost_lately: number;
    heard_ms: string | null;
    silent: string | null;
  }>(
    em,
    `select count(*)::int as live_before, count(lost_ms)::int as lost_lately,
       max(last_beat_ms)::text as heard_ms,
       (json_agg(json_build_array(node_id, last_beat_ms, lost_period_ms)) filter (
         where lost_ms is null and last_beat_ms + lost_period_ms * $2::float8 < $1::bigint
       ))::text as silent
     from node
     where last_beat_ms is not null and (lost_ms is null
       or (lost_ms > $1::bigint - lost_period_ms and lost_ms <= $1::bigint))`,
    [nowMs, SILENT_PART],
  );
  const heardMs = row?.heard_ms ?? null;
  const silent = JSON.parse(row?.silent ?? '[]') as [string, number, number][];
  return {
    nowMs,
    silent: silent.map(([nodeId, lastBeatMs, lostPeriodMs]) => ({
      nodeId,
      lastBeatMs,
      lostPeriodMs,
    })),
    lostLately: row?.lost_lately ?? 0,
    liveBefore: row?.live_before ?? 0,
    heardMs: heardMs === null ? null : Number(heardMs),
  };
}

/** After the database's clock was set back: nobody was heard in the future. */
export async function forgetFutureBeats(em: EntityManager, nowMs: number): Promise<void> {
  await query(em, 'update node set last_beat_ms = $1::bigint where last_beat_ms > $1::bigint', [
    nowMs,
  ]);
}

/** False where the node was heard meanwhile, or another replica lost it first. */
export async function recordLost(em: EntityManager, node: SilentNode): Promise<boolean> {
  const rows = await query(
    em,
    `update node set lost_ms = now_ms, revision = revision + 1, changed_ms = now_ms
     from gap_junction_now_ms() as now_ms
     where node_id = $1 and lost_ms is null and last_beat_ms = $2::bigint returning node_id`,
    [node.nodeId, node.lastBeatMs],
  );
  return rows.length === 1;
}

/** Those of the nodes that are live, whatever this replica remembers. */
export async function liveNodes(
  em: EntityManager,
  nodeIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await query<{ node_id: string }>(
    em,
    `select node_id from node
      where last_beat_ms is not null and lost_ms is null
        and node_id in (select jsonb_array_elements_text($1::jsonb))`,
    [JSON.stringify(nodeIds)],
  );
  return new Set(rows.map(({ node_id: nodeId }) => nodeId));
}

/** A beat that was accepted, as it is written. */
export interface RecordedBeat {
  readonly nodeId: string;
  /** How long ago it was accepted. */
  readonly ageMs: number;
  readonly lostPeriodMs: number;
  readonly slots: number;
  readonly agentVersion: string;
  readonly engineVersion: string;
  readonly residentMemoryBytes: bigint;
  readonly fuelSinceStart: bigint;
}

/**
 * All beats of the last seconds, in the order of their nodes' ids, in which replicas do not wait for each
 * other in a circle. Answers the nodes that were lost before. */
export async function recordBeats(
  em: EntityManager,
  beats: readonly RecordedBeat[],
): Promise<readonly FleetRow[]> {
  const rows = beats.map((beat) => ({
    node_id: beat.nodeId,
    age_ms: beat.ageMs,
    lost_period_ms: beat.lostPeriodMs,
    slots: beat.slots,
    agent_version: beat.agentVersion,
    engine_version: beat.engineVersion,
    resident_memory_bytes: String(beat.residentMemoryBytes),
    fuel_since_start: String(beat.fuelSinceStart),
  }));
  // Where another replica heard the node later, its time stays, and what it granted the node with it.
  await query(
    em,
    `update node set last_beat_ms = greatest(last_beat_ms, now_ms - b.age_ms),
       lost_period_ms = case when now_ms - b.age_ms < last_beat_ms then node.lost_period_ms
         else b.lost_period_ms end,
       slots = b.slots,
       agent_version = b.agent_version, engine_version = b.engine_version,
       resident_memory_bytes = b.resident_memory_bytes, fuel_since_start = b.fuel_since_start
     from gap_junction_now_ms() as now_ms, jsonb_to_recordset($1::jsonb) as b (
       node_id text, age_ms bigint, lost_period_ms bigint, slots int, agent_version text,
       engine_version text, resident_memory_bytes bigint, fuel_since_start bigint)
     where node.node_id = b.node_id`,
    [JSON.stringify(rows)],
  );
  // The rows are locked by now: nobody loses them in between.
  const found = await query<StoredFleetRow>(
    em,
    `update node set lost_ms = null, revision = revision + 1, changed_ms = gap_junction_now_ms()
     where lost_ms is not null and node_id in (select jsonb_array_elements_text($1::jsonb))
     returning ${FLEET_COLUMNS}`,
    [JSON.stringify(beats.map(({ nodeId }) => nodeId))],
  );
  return found.map(fleetRowOf);
}

/** For a stable order: of one node's, the first stays first. */
export function byNodeId(
  left: { readonly nodeId: string },
  right: { readonly nodeId: string },
): number {
  if (left.nodeId === right.nodeId) return 0;
  return left.nodeId < right.nodeId ? -1 : 1;
}
