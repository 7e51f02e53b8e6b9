// The leases in the database: giving them, and finding those that are over. Their states change with
// their jobs': see jobs/job-store.ts.
import {
  hexOf,
  readLockedJobs,
  requireAllSaved,
  SAVE_JOBS,
  saveParameters,
  type LockedJobs,
} from '../jobs/job-store.ts';
import type { Job } from '../jobs/jobs.ts';
import { chooseJobs, type Choice } from '../jobs/queue-store.ts';
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';

/** The queued jobs that are due and that nobody else is placing, in their order, locked. */
export async function lockQueuedJobs(
  em: EntityManager,
  options: Parameters<typeof chooseJobs>[1],
): Promise<LockedJobs & Choice> {
  const choice = await chooseJobs(em, options);
  if (choice.jobIds.length === 0) return { ...choice, records: [], nowMs: 0 };
  const place = new Map(choice.jobIds.map((jobId, index) => [jobId, index]));
  const { records, nowMs } = await readLockedJobs(em, choice.jobIds);
  const inOrder = records.toSorted((a, b) => place.get(a.job.jobId)! - place.get(b.job.jobId)!);
  return { ...choice, records: inOrder, nowMs };
}

export interface NewLease {
  /** After the lease: its last attempt is the new one. */
  readonly job: Job;
  readonly taskId: Uint8Array;
  readonly orderPayload: Uint8Array;
  readonly nodeKeyId: Uint8Array;
  readonly nodeChainDigest: Uint8Array;
}

/** Writes leases and their orders' exact bytes, in one statement. */
export async function insertLeases(
  em: EntityManager,
  leases: readonly NewLease[],
  signer: { readonly keyId: Uint8Array; readonly chainDigest: Uint8Array },
): Promise<void> {
  const rows = leases.map(({ job, ...lease }) => {
    const attempt = job.attempts.at(-1)!;
    return {
      attempt_id: attempt.attemptId,
      job_id: job.jobId,
      fence: attempt.fence,
      node_id: attempt.nodeId,
      leased_ms: attempt.leasedMs,
      acknowledge_by_ms: attempt.acknowledgeByMs,
      lease_end_ms: attempt.leaseEndMs,
      task_id: hexOf(lease.taskId),
      order_payload: hexOf(lease.orderPayload),
      node_key_id: hexOf(lease.nodeKeyId),
      node_chain_digest: hexOf(lease.nodeChainDigest),
    };
  });
  const changes = leases.map(({ job }) => ({ job }));
  const saved = await query(
    em,
    `with ${SAVE_JOBS}, lease as (
       insert into attempt (attempt_id, job_id, fence, node_id, state, leased_ms, acknowledge_by_ms,
         lease_end_ms, task_id, order_payload, order_key_id, order_chain_digest, node_key_id,
         node_chain_digest)
       select l.attempt_id, l.job_id, l.fence, l.node_id, 'leased', l.leased_ms, l.acknowledge_by_ms,
         l.lease_end_ms, decode(l.task_id, 'hex'), decode(l.order_payload, 'hex'), $4, $5,
         decode(l.node_key_id, 'hex'), decode(l.node_chain_digest, 'hex')
       from jsonb_to_recordset($3::jsonb) as l (attempt_id text, job_id text, fence int,
         node_id text, leased_ms bigint, acknowledge_by_ms bigint, lease_end_ms bigint,
         task_id text, order_payload text, node_key_id text, node_chain_digest text)
     ) select job_id from job_change`,
    [...saveParameters(changes), JSON.stringify(rows), signer.keyId, signer.chainDigest],
  );
  requireAllSaved(changes, saved.length);
}

/** Locks the jobs of these attempts; unknown attempts, and those of other nodes, are left out. */
export async function lockJobsOfAttempts(
  em: EntityManager,
  attempts: readonly { readonly attemptId: string; readonly nodeId: string }[],
): Promise<LockedJobs> {
  const ids = await query<{ job_id: string }>(
    em,
    `select job_id from job where job_id in (
        select a.job_id from attempt a
          join jsonb_to_recordset($1::jsonb) as c ("attemptId" text, "nodeId" text)
            on a.attempt_id = c."attemptId" and a.node_id = c."nodeId")
      order by job_id for update`,
    [JSON.stringify(attempts.map(({ attemptId, nodeId }) => ({ attemptId, nodeId })))],
  );
  return readLockedJobs(
    em,
    ids.map(({ job_id }) => job_id),
  );
}

/** An attempt that holds a lease. */
export interface OpenLease {
  readonly attemptId: string;
  readonly jobId: string;
  readonly nodeId: string;
  readonly isAcknowledged: boolean;
  readonly leasedMs: number;
  readonly acknowledgeByMs: number;
  readonly leaseEndMs: number;
}

interface OpenLeaseRow {
  readonly attempt_id: string;
  readonly job_id: string;
  readonly node_id: string;
  readonly state: string;
  readonly leased_ms: string;
  readonly acknowledge_by_ms: string;
  readonly lease_end_ms: string;
}

const OPEN_COLUMNS = `a.attempt_id, a.job_id, a.node_id, a.state, a.leased_ms::text,
  a.acknowledge_by_ms::text, a.lease_end_ms::text`;

const IS_OPEN = `a.state in ('leased', 'acknowledged')`;

/** When the first of a lease's times passes: as its index has it. */
const DUE_MS = `(case when a.state = 'leased' then least(a.acknowledge_by_ms, a.lease_end_ms) else a.lease_end_ms end)`;

/** The open leases of a node, or of all. */
export async function readOpenLeases(
  em: EntityManager,
  nodeId: string | null,
): Promise<readonly OpenLease[]> {
  const all = `select ${OPEN_COLUMNS} from attempt a where ${IS_OPEN}`;
  const rows =
    nodeId === null
      ? await query<OpenLeaseRow>(em, all)
      : await query<OpenLeaseRow>(em, `${all} and a.node_id = $1`, [nodeId]);
  return rows.map(openLeaseOf);
}

/** One sweep ends at most so many leases: a few transactions of some milliseconds each. */
const MAX_OVERDUE_LEASES = 1_000;

/**
 * The open leases past one of their times, the longest overdue first, at most 1,000; and those, of running
 * jobs, that are to be cancelled and are not overdue.
 */
export async function readLeasesToEnd(em: EntityManager): Promise<{
  readonly overdue: readonly OpenLease[];
  readonly toCancel: readonly OpenLease[];
}> {
  const overdue = await query<OpenLeaseRow>(
    em,
    `select ${OPEN_COLUMNS} from attempt a
      where ${IS_OPEN} and ${DUE_MS} < (select gap_junction_now_ms())
      order by ${DUE_MS} limit $1::int`,
    [MAX_OVERDUE_LEASES],
  );
  // One job after the other: a plan that expects many would read all attempts.
  const toCancel = await query<OpenLeaseRow>(
    em,
    `select ${OPEN_COLUMNS} from job j cross join lateral (
       select * from attempt a where a.job_id = j.job_id order by a.fence desc limit 1) a
      where j.state = 'running' and j.cancel_reason is not null and ${IS_OPEN}
        and ${DUE_MS} >= (select gap_junction_now_ms())`,
  );
  return { overdue: overdue.map(openLeaseOf), toCancel: toCancel.map(openLeaseOf) };
}

function openLeaseOf(row: OpenLeaseRow): OpenLease {
  return {
    attemptId: row.attempt_id,
    jobId: row.job_id,
    nodeId: row.node_id,
    isAcknowledged: row.state === 'acknowledged',
    leasedMs: Number(row.leased_ms),
    acknowledgeByMs: Number(row.acknowledge_by_ms),
    leaseEndMs: Number(row.lease_end_ms),
  };
}

export interface StoredOrder {
  readonly attemptId: string;
  readonly payload: Uint8Array;
  readonly keyId: Uint8Array;
  readonly inputDigest: Uint8Array;
  readonly inputBytes: bigint;
  readonly requestId: string;
}

/**
 * The orders under this key of a node that it has not acknowledged, but for those that are on their way:
 * they may have been lost with its last stream, so they are sent again and the time to acknowledge them
 * starts anew. The lease's end stays.
 */
export async function takeOrdersToResend(
  em: EntityManager,
  {
    nodeId,
    keyId,
    acknowledgeMs,
    onTheirWay,
  }: {
    nodeId: string;
    keyId: Uint8Array;
    acknowledgeMs: number;
    /** Attempts. */
    onTheirWay: readonly string[];
  },
): Promise<readonly StoredOrder[]> {
  // Everyone locks jobs first, in the order of their ids: no two wait for each other in a circle.
  await query(
    em,
    `select job_id from job where job_id in (
        select job_id from attempt where node_id = $1 and state = 'leased')
      order by job_id for update`,
    [nodeId],
  );
  const rows = await query<{
    attempt_id: string;
    order_payload: Uint8Array;
    order_key_id: Uint8Array;
    input_digest: Uint8Array;
    input_bytes: string;
    submit_request_id: string;
  }>(
    em,
    `update attempt a set acknowledge_by_ms = gap_junction_now_ms() + $3::bigint
       from job j
      where j.job_id = a.job_id and a.node_id = $1 and a.node_key_id = $2 and a.state = 'leased'
        and a.attempt_id not in (select jsonb_array_elements_text($4::jsonb))
    returning a.attempt_id, a.order_payload, a.order_key_id, j.input_digest, j.input_bytes::text,
              j.submit_request_id`,
    [nodeId, keyId, acknowledgeMs, JSON.stringify(onTheirWay)],
  );
  return rows.map((row) => ({
    attemptId: row.attempt_id,
    payload: row.order_payload,
    keyId: row.order_key_id,
    inputDigest: row.input_digest,
    inputBytes: BigInt(row.input_bytes),
    requestId: row.submit_request_id,
  }));
}

/** One sweep ends or stops at most so many jobs: as many as a statement writes in a few milliseconds. */
const MAX_OVERDUE_JOBS = 100;

/**
 * The jobs that wait for too long, and those that run for too long and were not told so: the end of their
 * last wait, which has an index, is not after that of all their time.
 */
export async function readOverdueJobs(em: EntityManager): Promise<readonly string[]> {
  const rows = await query<{ job_id: string }>(
    em,
    `(select job_id from job
       where state = 'queued' and queue_end_ms <= (select gap_junction_now_ms())
       order by queue_end_ms limit $1::int)
     union all
     (select job_id from job
       where state = 'running' and cancel_reason is null and queue_end_ms <= (select gap_junction_now_ms())
         and submitted_ms + total_timeout_ms <= (select gap_junction_now_ms())
       order by queue_end_ms limit $1::int)`,
    [MAX_OVERDUE_JOBS],
  );
  return rows.map(({ job_id }) => job_id);
}

/** The attempt of this node, while it holds its lease. */
export async function readLeaseUse(
  em: EntityManager,
  { nodeId, attemptId }: { nodeId: string; attemptId: string },
): Promise<{
  readonly clientId: string;
  readonly moduleDigest: Uint8Array;
  readonly inputDigest: Uint8Array;
  readonly maxOutputBytes: bigint;
} | null> {
  const rows = await query<{
    client_id: string;
    module_digest: Uint8Array;
    input_digest: Uint8Array;
    output_limit_bytes: string;
  }>(
    em,
    `select j.client_id, j.module_digest, j.input_digest, j.output_limit_bytes::text
       from attempt a join job j on j.job_id = a.job_id
      where a.attempt_id = $1 and a.node_id = $2 and a.state in ('leased', 'acknowledged')`,
    [attemptId, nodeId],
  );
  const row = rows[0];
  return row === undefined
    ? null
    : {
        clientId: row.client_id,
        moduleDigest: row.module_digest,
        inputDigest: row.input_digest,
        maxOutputBytes: BigInt(row.output_limit_bytes),
      };
}
