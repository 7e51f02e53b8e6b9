// How a job reads in SQL: one statement answers the job and its attempts. Integers travel as text, since
// the two databases disagree on what a bigint is in JavaScript.
import type { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import type { Attempt, AttemptState, CancelReason, End, Job, JobState } from './jobs.ts';
import type { EntryName, JobRecord } from './job-record.ts';

/** What `apply` needs of a job, over `job j`; `now_ms` is the database's clock in this statement. */
export const LIFE_COLUMNS = `
  j.job_id, j.client_id, j.state, j.revision::text, j.cancel_reason, j.module_digest,
  j.input_digest, j.submitted_ms::text, j.queued_ms::text, j.queue_timeout_ms::text,
  j.total_timeout_ms::text, j."end", j.end_detail, j.ended_ms::text,
  gap_junction_now_ms()::text as now_ms,
  coalesce((select jsonb_agg(jsonb_build_object(
      'attemptId', a.attempt_id, 'nodeId', a.node_id, 'fence', a.fence, 'state', a.state,
      'leasedMs', a.leased_ms, 'acknowledgeByMs', a.acknowledge_by_ms,
      'leaseEndMs', a.lease_end_ms, 'endedMs', a.ended_ms, 'failure', a.failure,
      'progressFuel', a.progress_fuel::text) order by a.fence)
    from attempt a where a.job_id = j.job_id), '[]')::text as attempts`;

/** The whole job. */
export const JOB_COLUMNS = `${LIFE_COLUMNS},
  j.request_id, j.body_digest, j.module_bytes::text, j.input_bytes::text, j.entry,
  j.stdout_as_result, j.debug_logs, j.fuel_limit::text, j.deadline_epochs,
  j.memory_limit_bytes::text, j.output_limit_bytes::text, j.log_limit_bytes::text, j.profile,
  j.profile_digest, j.price_base_microcents::text, j.price_per_mib_module_microcents::text,
  j.price_per_mib_io_microcents::text, j.price_per_million_fuel_microcents::text,
  j.price_share_basis_points, j.seed, j.hold_microcents::text, j.fuel::text,
  j.charge_microcents::text, j.output_digest, j.output_bytes::text, j.priority,
  j.required_labels::text, j.least_isolation_level, j.submit_request_id,
  j.output_acknowledged_ms::text`;

export interface LifeSqlRow {
  readonly job_id: string;
  readonly client_id: string;
  readonly state: JobState['kind'];
  readonly revision: string;
  readonly cancel_reason: CancelReason | null;
  readonly module_digest: Uint8Array;
  readonly input_digest: Uint8Array;
  readonly submitted_ms: string;
  readonly queued_ms: string;
  readonly queue_timeout_ms: string;
  readonly total_timeout_ms: string | null;
  readonly end: End | null;
  readonly end_detail: string | null;
  readonly ended_ms: string | null;
  readonly now_ms: string;
  readonly attempts: string;
}

export interface JobSqlRow extends LifeSqlRow {
  readonly request_id: string;
  readonly body_digest: Uint8Array;
  readonly module_bytes: string;
  readonly input_bytes: string;
  readonly entry: EntryName;
  readonly stdout_as_result: boolean;
  readonly debug_logs: boolean;
  readonly fuel_limit: string;
  readonly deadline_epochs: number;
  readonly memory_limit_bytes: string;
  readonly output_limit_bytes: string;
  readonly log_limit_bytes: string;
  readonly profile: string;
  readonly profile_digest: Uint8Array;
  readonly price_base_microcents: string;
  readonly price_per_mib_module_microcents: string;
  readonly price_per_mib_io_microcents: string;
  readonly price_per_million_fuel_microcents: string;
  readonly price_share_basis_points: number;
  readonly seed: Uint8Array;
  readonly hold_microcents: string;
  readonly fuel: string | null;
  readonly charge_microcents: string | null;
  readonly output_digest: Uint8Array | null;
  readonly output_bytes: string | null;
  readonly output_acknowledged_ms: string | null;
  readonly priority: number;
  readonly required_labels: string;
  readonly least_isolation_level: IsolationLevel;
  readonly submit_request_id: string;
}

interface AttemptJson {
  readonly attemptId: string;
  readonly nodeId: string;
  readonly fence: number;
  readonly state: AttemptState['kind'];
  readonly leasedMs: number;
  readonly acknowledgeByMs: number;
  readonly leaseEndMs: number;
  readonly endedMs: number | null;
  readonly failure: string | null;
  readonly progressFuel: string | null;
}

export function jobRecordOf(row: JobSqlRow): JobRecord {
  const job = jobOf(row);
  return {
    job,
    terms: {
      requestId: row.request_id,
      bodyDigest: row.body_digest,
      moduleDigest: row.module_digest,
      moduleBytes: BigInt(row.module_bytes),
      inputDigest: row.input_digest,
      inputBytes: BigInt(row.input_bytes),
      entry: row.entry,
      stdoutAsResult: row.stdout_as_result,
      debugLogs: row.debug_logs,
      limits: {
        fuel: BigInt(row.fuel_limit),
        deadlineEpochs: row.deadline_epochs,
        memoryBytes: BigInt(row.memory_limit_bytes),
        outputBytes: BigInt(row.output_limit_bytes),
        logBytes: BigInt(row.log_limit_bytes),
      },
      profile: row.profile,
      profileDigest: row.profile_digest,
      price: {
        baseMicrocents: BigInt(row.price_base_microcents),
        perMibModuleMicrocents: BigInt(row.price_per_mib_module_microcents),
        perMibIoMicrocents: BigInt(row.price_per_mib_io_microcents),
        perMillionFuelMicrocents: BigInt(row.price_per_million_fuel_microcents),
        shareBasisPoints: row.price_share_basis_points,
      },
      seed: row.seed,
      holdMicrocents: BigInt(row.hold_microcents),
      priority: row.priority,
      constraints: {
        labels: JSON.parse(row.required_labels) as Record<string, string>,
        isolationLevel: row.least_isolation_level,
      },
      queueTimeoutMs: job.queueTimeoutMs,
      totalTimeoutMs: job.totalTimeoutMs,
      submitRequestId: row.submit_request_id,
    },
    result:
      row.fuel === null ||
      row.charge_microcents === null ||
      row.output_digest === null ||
      row.output_bytes === null
        ? null
        : {
            fuel: BigInt(row.fuel),
            chargeMicrocents: BigInt(row.charge_microcents),
            outputDigest: row.output_digest,
            outputBytes: BigInt(row.output_bytes),
          },
    outputAcknowledgedMs:
      row.output_acknowledged_ms === null ? null : Number(row.output_acknowledged_ms),
  };
}

export function jobOf(row: LifeSqlRow): Job {
  return {
    jobId: row.job_id,
    clientId: row.client_id,
    revision: BigInt(row.revision),
    state: stateOf(row),
    cancelReason: row.cancel_reason,
    submittedMs: Number(row.submitted_ms),
    queuedMs: Number(row.queued_ms),
    queueTimeoutMs: Number(row.queue_timeout_ms),
    totalTimeoutMs: row.total_timeout_ms === null ? null : Number(row.total_timeout_ms),
    attempts: (JSON.parse(row.attempts) as AttemptJson[]).map(attemptOf),
  };
}

function stateOf(row: LifeSqlRow): JobState {
  switch (row.state) {
    case 'queued':
    case 'running':
      return { kind: row.state };
    case 'settling':
    case 'ended':
      if (row.end === null || row.ended_ms === null) {
        throw new Error(`reading the job '${row.job_id}': it is ${row.state} and has no end`);
      }
      return {
        kind: row.state,
        end: row.end,
        endDetail: row.end_detail ?? '',
        endedMs: Number(row.ended_ms),
      };
    default:
      return row.state satisfies never;
  }
}

function attemptOf(json: AttemptJson): Attempt {
  const { state, endedMs, failure, progressFuel, ...rest } = json;
  return {
    ...rest,
    state: attemptStateOf(state, endedMs ?? 0, failure ?? ''),
    progressFuel: BigInt(progressFuel ?? 0),
  };
}

function attemptStateOf(
  kind: AttemptState['kind'],
  endedMs: number,
  failure: string,
): AttemptState {
  switch (kind) {
    case 'leased':
    case 'acknowledged':
      return { kind };
    case 'completed':
      return { kind, endedMs };
    case 'failed':
      return { kind, endedMs, failure };
    default:
      return kind satisfies never;
  }
}
