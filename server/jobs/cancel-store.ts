import type { Blobs } from '../blobs/blobs.ts';
import { notFound } from '../rpc/error.ts';
import type { EntityManager } from '../store/store.ts';
import { saveChanges } from './job-end-store.ts';
import type { JobRecord } from './job-record.ts';
import { lockJobs } from './job-store.ts';
import { apply } from './jobs.ts';

/** Ends a queued job, asks for the end of a running one. Throws RpcError NOT_FOUND for another client's. */
export async function cancelJob(
  em: EntityManager,
  blobs: Pick<Blobs, 'endJob'>,
  { clientId, jobId }: { clientId: string; jobId: string },
): Promise<{ readonly record: JobRecord; readonly isNew: boolean }> {
  const { records, nowMs } = await lockJobs(em, [jobId]);
  const record = records[0];
  if (record === undefined || record.job.clientId !== clientId) throw notFound('the job', jobId);
  const outcome = apply(record.job, { kind: 'cancel' }, nowMs);
  if (outcome.kind !== 'changed') return { record, isNew: false };
  await saveChanges(em, blobs, [{ record, outcome }]);
  return { record: { ...record, job: outcome.job }, isNew: true };
}
