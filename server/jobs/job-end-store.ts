// What ends with a job, whoever ends it: its hold where nothing is charged, and its uses of blobs.
import type { Blobs } from '../blobs/blobs.ts';
import { releaseJob } from '../ledger/ledger-store.ts';
import type { EntityManager } from '../store/store.ts';
import { saveJobs, type JobChange } from './job-store.ts';
import type { JobLife } from './job-record.ts';
import type { Job, Outcome } from './jobs.ts';

export type Changed = Extract<Outcome, { kind: 'changed' }>;

/**
 * Writes locked jobs after one transition each; gives back the holds of those that ended without a bill.
 * The ledger wants clients in the order of their ids, and to be last.
 */
export async function saveChanges(
  em: EntityManager,
  blobs: Pick<Blobs, 'endJob'>,
  changes: readonly (Omit<JobChange, 'job'> & {
    readonly outcome: Changed;
    readonly record: JobLife;
  })[],
): Promise<readonly Job[]> {
  const released = changes
    .filter(({ outcome }) => outcome.released)
    .toSorted((a, b) => (placeOf(a.outcome.job) < placeOf(b.outcome.job) ? -1 : 1));
  for (const { record } of released) await endUses(em, blobs, record);
  await saveJobs(
    em,
    changes.map(({ outcome, receiptDigest, orderSignature }) => ({
      job: outcome.job,
      receiptDigest,
      orderSignature,
    })),
  );
  for (const { outcome } of released) await releaseJob(em, outcome.job);
  return changes.map(({ outcome }) => outcome.job);
}

/** Clients in the order of their ids, as the ledger wants them, and a client's jobs, as their uses are locked. */
const placeOf = ({ clientId, jobId }: Job) => `${clientId} ${jobId}`;

/** The job needs its module no longer, and its input only to be looked at. */
export async function endUses(
  em: EntityManager,
  blobs: Pick<Blobs, 'endJob'>,
  { job, terms }: JobLife,
): Promise<void> {
  const { jobId, clientId } = job;
  await blobs.endJob(em, {
    jobId,
    clientId,
    module: terms.moduleDigest,
    input: terms.inputDigest,
  });
}
