import { saveJobs, type JobChange } from '../jobs/job-store.ts';
import { apply, currentAttempt, type Job } from '../jobs/jobs.ts';
import type { Clock } from '../clock.ts';
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

/**
 * Acknowledgements are written so long after they came: most jobs are over by then, and their receipts are
 * the better proof. Killed meanwhile, a server sends the order again, and its node acknowledges it again.
 */
const WRITE_AFTER_MS = 20;

interface Waiting extends Acknowledgement {
  readonly resolve: (verdict: Promise<AcknowledgementVerdict> | AcknowledgementVerdict) => void;
}

/** Writes what nodes acknowledge, with the signatures of the orders, many in one transaction. */
export class Acknowledgements {
  readonly #clock: Clock;
  /** By attempt, not written yet. */
  readonly #waiting = new Map<string, Waiting>();
  #stopTimer: (() => void) | null = null;
  readonly #store: Store;
  readonly #leases: Leases;
  readonly #commits: GroupCommit<Acknowledgement, AcknowledgementVerdict>;

  constructor({
    store,
    leases,
    clock,
  }: {
    readonly store: Store;
    readonly leases: Leases;
    readonly clock: Clock;
  }) {
    this.#clock = clock;
    this.#store = store;
    this.#leases = leases;
    this.#commits = new GroupCommit((batch) => this.#write(batch));
  }

  add(acknowledgement: Acknowledgement): Promise<AcknowledgementVerdict> {
    const { attemptId, nodeId } = acknowledgement;
    const earlier = this.#waiting.get(attemptId);
    // Said by another node than before, it is judged apart.
    if (earlier !== undefined && earlier.nodeId !== nodeId)
      return this.#commits.add(acknowledgement);
    const { promise, resolve } = Promise.withResolvers<AcknowledgementVerdict>();
    earlier?.resolve(promise);
    const orderSignature = acknowledgement.orderSignature ?? earlier?.orderSignature ?? null;
    this.#waiting.set(attemptId, { ...acknowledgement, orderSignature, resolve });
    this.#stopTimer ??= this.#clock.after(WRITE_AFTER_MS, () => this.flush());
    return promise;
  }

  /** Writes what waits. */
  flush(): void {
    this.#stopTimer?.();
    this.#stopTimer = null;
    for (const { resolve, ...acknowledgement } of this.#waiting.values()) {
      resolve(this.#commits.add(acknowledgement));
    }
    this.#waiting.clear();
  }

  /** Writes what waits, so that no other replica sends those orders again. */
  async close(): Promise<void> {
    this.flush();
    await this.#commits.settled();
  }

  /** The signature of an order whose acknowledgement is not written yet. */
  orderSignatureOf(attemptId: string): Uint8Array | null {
    return this.#waiting.get(attemptId)?.orderSignature ?? null;
  }

  /** The attempt is over, and that is written: its acknowledgement need not be. */
  overtake({ nodeId, attemptId }: { nodeId: string; attemptId: string }): void {
    const waiting = this.#waiting.get(attemptId);
    if (waiting === undefined || waiting.nodeId !== nodeId) return;
    this.#waiting.delete(attemptId);
    waiting.resolve({ kind: 'held', cancelRequested: false });
  }

  async #write(batch: readonly Acknowledgement[]): Promise<readonly AcknowledgementVerdict[]> {
    const { changes, verdicts, passedOver } = await this.#store.transaction(async (em) => {
      const { records, nowMs } = await lockJobsOfAttempts(em, batch);
      const byAttempt = new Map(
        records.flatMap(({ job }) => {
          const attempt = currentAttempt(job);
          return attempt === null ? [] : [[attempt.attemptId, job] as const];
        }),
      );
      const saved: JobChange[] = [];
      const said = batch.map(({ nodeId, attemptId, orderSignature }): AcknowledgementVerdict => {
        if (isCompleted(records, attemptId)) return { kind: 'held', cancelRequested: false };
        const job = byAttempt.get(attemptId);
        if (job === undefined || currentAttempt(job)?.nodeId !== nodeId) return { kind: 'stale' };
        const outcome = apply(job, { kind: 'acknowledge', attemptId }, nowMs);
        if (outcome.kind === 'refused') return { kind: 'stale' };
        if (outcome.kind === 'changed') {
          saved.push({ job: outcome.job, orderSignature });
          // Said twice in one batch, it is written once.
          byAttempt.set(attemptId, outcome.job);
        }
        return { kind: 'held', cancelRequested: job.cancelReason !== null };
      });
      await saveJobs(em, saved);
      // Placement passes over a job that is locked: who locked a queued one has to wake it.
      const queued = records.map(({ job }) => job).filter(({ state }) => state.kind === 'queued');
      return { changes: saved, verdicts: said, passedOver: queued };
    });
    for (const { job } of changes) {
      const attempt = currentAttempt(job);
      if (attempt !== null) this.#leases.held.add({ ...attempt, jobId: job.jobId });
    }
    this.#leases.announce([...changes.map(({ job }) => job), ...passedOver]);
    return verdicts;
  }
}

/** Its receipt was faster. */
function isCompleted(records: readonly { readonly job: Job }[], attemptId: string): boolean {
  return records.some(({ job }) =>
    job.attempts.some((one) => one.attemptId === attemptId && one.state.kind === 'completed'),
  );
}
