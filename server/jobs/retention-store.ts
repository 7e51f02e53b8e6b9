// The end of what a job leaves: its input, its output and its logs. Its bill and its digests stay.
import type { Blobs } from '../blobs/blobs.ts';
import { eraseLogs } from '../logs/log-store.ts';
import { notFound, RpcError } from '../rpc/error.ts';
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import type { JobRecord } from './job-record.ts';
import { lockJobs } from './job-store.ts';

type LeavingBlobs = Pick<Blobs, 'giveUpLeft'>;

/**
 * The client has what it wants of an ended job: everything else of it ends. Throws RpcError NOT_FOUND for
 * another client's, NOT_ENDED (FAILED_PRECONDITION).
 */
export async function acknowledgeOutput(
  em: EntityManager,
  blobs: LeavingBlobs,
  { clientId, jobId }: { clientId: string; jobId: string },
): Promise<{ readonly record: JobRecord; readonly isNew: boolean }> {
  const { records, nowMs } = await lockJobs(em, [jobId]);
  const record = records[0];
  if (record === undefined || record.job.clientId !== clientId) throw notFound('the job', jobId);
  if (record.job.state.kind !== 'ended') {
    throw new RpcError(
      'FAILED_PRECONDITION',
      'NOT_ENDED',
      `acknowledging the output of '${jobId}': the job has not ended; watch it until it has`,
    );
  }
  if (record.outputAcknowledgedMs !== null) return { record, isNew: false };
  await giveUpLeft(em, blobs, [jobId]);
  await query(
    em,
    `update job set output_acknowledged_ms = $2, revision = revision + 1 where job_id = $1`,
    [jobId, nowMs],
  );
  const job = { ...record.job, revision: record.job.revision + 1n };
  return { record: { ...record, job, outputAcknowledgedMs: nowMs }, isNew: true };
}

/** Gives up what jobs left that ended so long ago, at most `limit` of them. Answers how many. */
export async function giveUpOverdue(
  em: EntityManager,
  blobs: LeavingBlobs,
  { outputRetentionMs, limit }: { outputRetentionMs: number; limit: number },
): Promise<number> {
  const due = await query<{ job_id: string }>(
    em,
    `select job_id from job
      where state = 'ended' and erased_ms is null and ended_ms <= (select gap_junction_now_ms() - $1::bigint)
      order by ended_ms limit $2 for update skip locked`,
    [outputRetentionMs, limit],
  );
  const jobIds = due.map(({ job_id }) => job_id);
  if (jobIds.length > 0) await giveUpLeft(em, blobs, jobIds);
  return jobIds.length;
}

/** Of locked jobs. */
async function giveUpLeft(
  em: EntityManager,
  blobs: LeavingBlobs,
  jobIds: readonly string[],
): Promise<void> {
  const rows = await query<{
    job_id: string;
    client_id: string;
    input_digest: Uint8Array;
    output_digest: Uint8Array | null;
    attempt_ids: string;
  }>(
    em,
    `update job j set erased_ms = coalesce(erased_ms, gap_junction_now_ms())
      where job_id in (select jsonb_array_elements_text($1::jsonb))
     returning job_id, client_id, input_digest, output_digest,
       coalesce((select jsonb_agg(attempt_id) from attempt a where a.job_id = j.job_id), '[]')::text
         as attempt_ids`,
    [JSON.stringify(jobIds)],
  );
  const left = rows.map((row) => ({
    jobId: row.job_id,
    clientId: row.client_id,
    digests:
      row.output_digest === null ? [row.input_digest] : [row.input_digest, row.output_digest],
    attemptIds: JSON.parse(row.attempt_ids) as string[],
  }));
  await eraseLogs(em, jobIds);
  await blobs.giveUpLeft(em, left);
}
