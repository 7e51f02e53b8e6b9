import { saveJobs, type JobChange } from '../jobs/job-store.ts';
import { apply, currentAttempt } from '../jobs/jobs.ts';
import type { Store } from '../store/store.ts';
import { GroupCommit } from './group-commit.ts';
import { lockJobsOfAttempts } from './lease-store.ts';
import type { Leases } from './leases.ts';

export interface Acknowledgement {
  readonly nodeId: string;
  readonly attemptId: string;
  /** Of the order; null where this replica did not sign it. */
  readonly orderSignature: Uint8Array | null;
}

export type AcknowledgementVerdict =
  /** The node holds the attempt; it is to be stopped where the client cancelled meanwhile. */
  | { readonly kind: 'held'; readonly cancelRequested: boolean }
  /** Too late, or never this node's: whatever it runs, nobody will pay for it. */
  | { readonly kind: 'stale' };

/** Writes what nodes acknowledge, with the signatures of the orders, many in one transaction. */
export class Acknowledgements {
  readonly #store: Store;
  readonly #leases: Leases;
  readonly #commits: GroupCommit<Acknowledgement, AcknowledgementVerdict>;

  constructor(store: Store, leases: Leases) {
    this.#store = store;
    this.#leases = leases;
    this.#commits = new GroupCommit((batch) => this.#write(batch));
  }

  add(acknowledgement: Acknowledgement): Promise<AcknowledgementVerdict> {
    return this.#commits.add(acknowledgement);
  }

  async #write(batch: readonly Acknowledgement[]): Promise<readonly AcknowledgementVerdict[]> {
    const { changes, verdicts } = await this.#store.transaction(async (em) => {
      const { records, nowMs } = await lockJobsOfAttempts(em, batch);
      const byAttempt = new Map(
        records.flatMap(({ job }) => {
          const attempt = currentAttempt(job);
          return attempt === null ? [] : [[attempt.attemptId, job] as const];
        }),
      );
      const saved: JobChange[] = [];
      const said = batch.map(({ nodeId, attemptId, orderSignature }): AcknowledgementVerdict => {
        const job = byAttempt.get(attemptId);
        if (job === undefined || currentAttempt(job)?.nodeId !== nodeId) return { kind: 'stale' };
        const outcome = apply(job, { kind: 'acknowledge', attemptId }, nowMs);
        if (outcome.kind === 'refused') return { kind: 'stale' };
        if (outcome.kind === 'changed') {
          saved.push({ job: outcome.job, orderSignature });
          // Said twice in one batch, it is written once.
          byAttempt.set(attemptId, outcome.job);
        }
        return { kind: 'held', cancelRequested: job.cancelRequested };
      });
      await saveJobs(em, saved);
      return { changes: saved, verdicts: said };
    });
    for (const { job } of changes) {
      const attempt = currentAttempt(job);
      if (attempt !== null) this.#leases.held.add({ ...attempt, jobId: job.jobId });
    }
    this.#leases.announce(changes.map(({ job }) => job));
    return verdicts;
  }
}
