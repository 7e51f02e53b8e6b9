// Reading and writing jobs. To change one: lockJobs, `apply` of jobs.ts, saveJobs, in one transaction.
import { query, together } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { queueEndMs, type Job, type JobState } from './jobs.ts';
import type { JobRecord, JobResult, JobTerms } from './job-record.ts';
import { JOB_COLUMNS, jobRecordOf, type JobSqlRow } from './job-row.ts';

const INSERT = `
  insert into job (
    job_id, client_id, request_id, body_digest, state, revision,
    module_digest, module_bytes, input_digest, input_bytes, entry, stdout_as_result, debug_logs,
    fuel_limit, deadline_epochs, memory_limit_bytes, output_limit_bytes, log_limit_bytes,
    profile, profile_digest, price_base_microcents, price_per_mib_module_microcents,
    price_per_mib_io_microcents, price_per_million_fuel_microcents, price_share_basis_points,
    seed, hold_microcents, priority, required_labels, least_isolation_level, queue_timeout_ms,
    total_timeout_ms, submit_request_id, submitted_ms, queued_ms, queue_end_ms)
  select $1, $2, $3, $4, 'queued', 1, $5, $6::bigint, $7, $8::bigint, $9, $10, $11,
    $12::bigint, $13::int, $14::bigint, $15::bigint, $16::bigint, $17, $18, $19::bigint, $20::bigint,
    $21::bigint, $22::bigint, $23::int, $24, $25::bigint, $26::int, $27::jsonb, $28::int, $29::bigint,
    $30::bigint, $31, now_ms, now_ms, now_ms + least($29::bigint, $30::bigint)
  from gap_junction_now_ms() as now_ms
  on conflict (client_id, request_id) do nothing
  returning submitted_ms::text`;

/** The queued job, or null where the client's request id is taken. */
export async function insertJob(
  em: EntityManager,
  { jobId, clientId, terms }: { jobId: string; clientId: string; terms: JobTerms },
): Promise<JobRecord | null> {
  const { limits, price } = terms;
  const rows = await query<{ submitted_ms: string }>(em, INSERT, [
    jobId,
    clientId,
    terms.requestId,
    terms.bodyDigest,
    terms.moduleDigest,
    terms.moduleBytes,
    terms.inputDigest,
    terms.inputBytes,
    terms.entry,
    terms.stdoutAsResult,
    terms.debugLogs,
    limits.fuel,
    limits.deadlineEpochs,
    limits.memoryBytes,
    limits.outputBytes,
    limits.logBytes,
    terms.profile,
    terms.profileDigest,
    price.baseMicrocents,
    price.perMibModuleMicrocents,
    price.perMibIoMicrocents,
    price.perMillionFuelMicrocents,
    price.shareBasisPoints,
    terms.seed,
    terms.holdMicrocents,
    terms.priority,
    JSON.stringify(terms.constraints.labels),
    terms.constraints.isolationLevel,
    terms.queueTimeoutMs,
    terms.totalTimeoutMs,
    terms.submitRequestId,
  ]);
  if (rows[0] === undefined) return null;
  const submittedMs = Number(rows[0].submitted_ms);
  const job: Job = {
    jobId,
    clientId,
    revision: 1n,
    state: { kind: 'queued' },
    cancelReason: null,
    submittedMs,
    queuedMs: submittedMs,
    queueTimeoutMs: terms.queueTimeoutMs,
    totalTimeoutMs: terms.totalTimeoutMs,
    attempts: [],
  };
  return { job, terms, result: null, outputAcknowledgedMs: null };
}

/** Looked up by its key alone (`offset 0`): an index of all jobs of its client may look as good. */
const JOB_BY_ID = '(select * from job where job_id = $1 offset 0) j';

/** The job of this client, or null where there is none. */
export async function readJob(
  em: EntityManager,
  { clientId, jobId }: { clientId: string; jobId: string },
): Promise<JobRecord | null> {
  const rows = await query<JobSqlRow>(
    em,
    `select ${JOB_COLUMNS} from ${JOB_BY_ID} where j.client_id = $2`,
    [jobId, clientId],
  );
  return rows[0] === undefined ? null : jobRecordOf(rows[0]);
}

/** The job that this client made under this request id, or null. */
export async function readJobOfRequest(
  em: EntityManager,
  { clientId, requestId }: { clientId: string; requestId: string },
): Promise<JobRecord | null> {
  const rows = await query<JobSqlRow>(
    em,
    `select ${JOB_COLUMNS} from job j where j.client_id = $1 and j.request_id = $2`,
    [clientId, requestId],
  );
  return rows[0] === undefined ? null : jobRecordOf(rows[0]);
}

export interface JobPage {
  readonly clientId: string;
  readonly states: readonly JobState['kind'][];
  /** Where the last page ended, or null for the first. */
  readonly before: { readonly submittedMs: number; readonly jobId: string } | null;
  readonly limit: number;
}

/** A client's jobs, newest first. */
export async function listJobs(em: EntityManager, page: JobPage): Promise<readonly JobRecord[]> {
  const rows = await query<JobSqlRow>(
    em,
    `select ${JOB_COLUMNS} from job j
      where j.client_id = $1 and j.state in (select jsonb_array_elements_text($2::jsonb))
        and ($3::bigint is null or (j.submitted_ms, j.job_id) < ($3::bigint, $4))
      order by j.submitted_ms desc, j.job_id desc limit $5::int`,
    [
      page.clientId,
      JSON.stringify(page.states),
      page.before?.submittedMs ?? null,
      page.before?.jobId ?? '',
      page.limit,
    ],
  );
  return rows.map(jobRecordOf);
}

export interface LockedJobs {
  /** In no order; those that are not there are left out. */
  readonly records: readonly JobRecord[];
  /** The database's clock, read after the locks were taken. */
  readonly nowMs: number;
}

/**
 * The jobs, locked until the end of the transaction. Locks are taken in the order of ids, so that two
 * batches never wait for each other in a circle.
 */
export async function lockJobs(em: EntityManager, jobIds: readonly string[]): Promise<LockedJobs> {
  const locking = query(
    em,
    `select job_id from job where job_id in (select jsonb_array_elements_text($1::jsonb))
      order by job_id for update`,
    [JSON.stringify(jobIds)],
  );
  const [, jobs] = await together([locking, readLockedJobs(em, jobIds)]);
  return jobs;
}

/** The jobs whose rows this transaction has locked. A statement of its own, to see what the lock waited for. */
export async function readLockedJobs(
  em: EntityManager,
  jobIds: readonly string[],
): Promise<LockedJobs> {
  const rows = await query<JobSqlRow>(
    em,
    `select ${JOB_COLUMNS} from job j where j.job_id in (select jsonb_array_elements_text($1::jsonb))`,
    [JSON.stringify(jobIds)],
  );
  return { records: rows.map(jobRecordOf), nowMs: Number(rows[0]?.now_ms ?? 0) };
}

/** One transition of a locked job, and what else is learnt with it; what is left out stays as it is. */
export interface JobChange {
  readonly job: Job;
  readonly result?: JobResult;
  /** Of the job's last attempt. */
  readonly orderSignature?: Uint8Array | null;
  readonly receiptDigest?: Uint8Array;
}

/**
 * Two parts of a `with`, so that another statement can write its own rows beside; `$1` and `$2` are
 * saveParameters. Only the revision before, and only the attempt of this fence that has not ended, is
 * written. That it has not is a `case` so as not to be taken for the way to find it: of attempts that ended
 * a moment ago the index of open ones is full.
 */
export const SAVE_JOBS = `
  job_change as (
    update job j set state = c.state, revision = c.revision, cancel_reason = c.cancel_reason,
        queued_ms = c.queued_ms, queue_end_ms = c.queue_end_ms,
        "end" = c."end", end_detail = c.end_detail, ended_ms = c.ended_ms,
        fuel = coalesce(c.fuel, j.fuel),
        charge_microcents = coalesce(c.charge_microcents, j.charge_microcents),
        output_digest = coalesce(decode(c.output_digest, 'hex'), j.output_digest),
        output_bytes = coalesce(c.output_bytes, j.output_bytes)
      from jsonb_to_recordset($1::jsonb) as c (job_id text, state text, revision bigint,
        cancel_reason text, queued_ms bigint, queue_end_ms bigint, "end" text, end_detail text, ended_ms bigint, fuel bigint,
        charge_microcents bigint, output_digest text, output_bytes bigint)
     where j.job_id = c.job_id and j.revision = c.revision - 1
    returning j.job_id
  ), attempt_change as (
    update attempt a set state = c.state, ended_ms = c.ended_ms, failure = c.failure,
        order_signature = coalesce(decode(c.order_signature, 'hex'), a.order_signature),
        receipt_digest = coalesce(decode(c.receipt_digest, 'hex'), a.receipt_digest)
      from jsonb_to_recordset($2::jsonb) as c (attempt_id text, fence int, state text,
        ended_ms bigint, failure text, order_signature text, receipt_digest text)
     where a.attempt_id = c.attempt_id and a.fence = c.fence
       and case when a.state in ('leased', 'acknowledged') then true else false end
    returning a.attempt_id
  )`;

export function saveParameters(changes: readonly JobChange[]): readonly [string, string] {
  return [JSON.stringify(changes.map(jobJson)), JSON.stringify(changes.flatMap(attemptJson))];
}

/** Writes locked jobs after one transition each. Throws where another wrote in between. */
export async function saveJobs(em: EntityManager, changes: readonly JobChange[]): Promise<void> {
  if (changes.length === 0) return;
  const rows = await query(
    em,
    `with ${SAVE_JOBS} select job_id from job_change`,
    saveParameters(changes),
  );
  requireAllSaved(changes, rows.length);
}

/** `saved` is how many rows `job_change` had. Throws, so that the transaction is rolled back. */
export function requireAllSaved(changes: readonly JobChange[], saved: number): void {
  if (saved !== changes.length) {
    throw new Error(
      `writing ${changes.length} jobs ('${changes[0]?.job.jobId}', ...): ${saved} were at the revision before`,
    );
  }
}

function jobJson({ job, result }: JobChange) {
  const { jobId, state, revision, cancelReason, queuedMs } = job;
  const isOver = state.kind === 'settling' || state.kind === 'ended';
  return {
    job_id: jobId,
    state: state.kind,
    revision: String(revision),
    cancel_reason: cancelReason,
    queued_ms: queuedMs,
    queue_end_ms: queueEndMs(job),
    end: isOver ? state.end : null,
    end_detail: isOver ? state.endDetail : null,
    ended_ms: isOver ? state.endedMs : null,
    fuel: result === undefined ? null : String(result.fuel),
    charge_microcents: result === undefined ? null : String(result.chargeMicrocents),
    output_digest: result === undefined ? null : hexOf(result.outputDigest),
    output_bytes: result === undefined ? null : String(result.outputBytes),
  };
}

function attemptJson({ job, orderSignature, receiptDigest }: JobChange) {
  const attempt = job.attempts.at(-1);
  if (attempt === undefined) return [];
  const { attemptId, fence, state } = attempt;
  return [
    {
      attempt_id: attemptId,
      fence,
      state: state.kind,
      ended_ms: 'endedMs' in state ? state.endedMs : null,
      failure: 'failure' in state ? state.failure : null,
      order_signature: orderSignature ? hexOf(orderSignature) : null,
      receipt_digest: receiptDigest ? hexOf(receiptDigest) : null,
    },
  ];
}

/** For bytes inside of JSON: `decode(text, 'hex')` reads it back. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
