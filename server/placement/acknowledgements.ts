import { saveJobs, type JobChange } from '../jobs/job-store.ts';
import { apply, currentAttempt, type Job } from '../jobs/jobs.ts';
import type { Clock } from '../clock.ts';
import { RpcError } from '../rpc/error.ts';
import type { Store } from '../store/store.ts';
import { giveTimeToAcknowledge } from './acknowledgement-store.ts';
import { GroupCommit } from '../store/group-commit.ts';
import { lockJobsOfAttempts } from './lease-store.ts';
import type { Leases } from './leases.ts';
import { ACKNOWLEDGE_MS } from './placer.ts';

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
const WRITE_AFTER_MS = 50;

/** What the database did not take is tried again so much later, until it does. */
const RETRY_AFTER_MS = 500;

/** As many orders are on their way at most: those of a large fleet. Of nodes that make them up, no more are kept. */
const MAX_KEPT = 100_000;

/** Later it may be written: the database is away, or full, or two transactions met. */
const PASSING: ReadonlySet<string> = new Set(['UNAVAILABLE', 'RESOURCE_EXHAUSTED', 'ABORTED']);

interface Said extends Acknowledgement {
  /** It came while the database was away: it is not too late, however late that was. */
  readonly isKept: boolean;
}

interface Waiting extends Said {
  readonly resolve: (verdict: Promise<AcknowledgementVerdict> | AcknowledgementVerdict) => void;
  readonly reject: (cause: unknown) => void;
}

/**
 * Writes what nodes acknowledge, with the signatures of the orders, many in one transaction. What the database
 * cannot take is kept and written when it can: an outage of ours re-runs no job.
 */
export class Acknowledgements {
  readonly #clock: Clock;
  /** By attempt, not written yet. */
  readonly #waiting = new Map<string, Waiting>();
  #stopTimer: (() => void) | null = null;
  /** What the database did not take. */
  readonly #kept: Waiting[] = [];
  #stopRetry: (() => void) | null = null;
  #isClosed = false;
  readonly #store: Store;
  readonly #leases: Leases;
  readonly #commits: GroupCommit<Said, AcknowledgementVerdict>;

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
      return this.#commits.add({ ...acknowledgement, isKept: false });
    const { promise, resolve, reject } = Promise.withResolvers<AcknowledgementVerdict>();
    earlier?.resolve(promise);
    const orderSignature = acknowledgement.orderSignature ?? earlier?.orderSignature ?? null;
    const said = { ...acknowledgement, orderSignature, isKept: false };
    this.#waiting.set(attemptId, { ...said, resolve, reject });
    this.#stopTimer ??= this.#clock.after(WRITE_AFTER_MS, () => this.flush());
    return promise;
  }

  /** Writes what waits. */
  flush(): void {
    this.#stopTimer?.();
    this.#stopTimer = null;
    for (const waiting of this.#waiting.values()) void this.#commit(waiting);
    this.#waiting.clear();
  }

  async #commit(waiting: Waiting): Promise<void> {
    try {
      waiting.resolve(await this.#commits.add(waiting));
    } catch (cause) {
      const mayKeep = !this.#isClosed && this.#kept.length < MAX_KEPT;
      if (mayKeep && isPassing(cause)) this.#keep(waiting);
      else waiting.reject(cause);
    }
  }

  #keep(waiting: Waiting): void {
    this.#kept.push({ ...waiting, isKept: true });
    this.#stopRetry ??= this.#clock.after(RETRY_AFTER_MS, () => this.#retry());
  }

  #retry(): void {
    this.#stopRetry?.();
    this.#stopRetry = null;
    for (const waiting of this.#kept.splice(0)) void this.#commit(waiting);
  }

  /** Writes what waits, so that no other replica sends those orders again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.flush();
    this.#retry();
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

  async #write(batch: readonly Said[]): Promise<readonly AcknowledgementVerdict[]> {
    const { changes, verdicts, passedOver } = await this.#store.transaction(async (em) => {
      const kept = batch.filter(({ isKept }) => isKept).map(({ attemptId }) => attemptId);
      if (kept.length > 0) {
        // All that the batch locks at once, in order.
        await lockJobsOfAttempts(em, batch);
        await giveTimeToAcknowledge(em, { attemptIds: kept, acknowledgeMs: ACKNOWLEDGE_MS });
      }
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

function isPassing(cause: unknown): boolean {
  return cause instanceof RpcError && PASSING.has(cause.code);
}

/** Its receipt was faster. */
function isCompleted(records: readonly { readonly job: Job }[], attemptId: string): boolean {
  return records.some(({ job }) =>
    job.attempts.some((one) => one.attemptId === attemptId && one.state.kind === 'completed'),
  );
}
