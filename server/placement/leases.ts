import { sameBytes } from '../../protocol/bill/digest.ts';
import { type Announcements, jobTopic, nodeTopic, QUEUE_TOPIC } from '../jobs/announcements.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { JobObserver } from '../jobs/job-observer.ts';
import { saveChanges } from '../jobs/job-end-store.ts';
import { lockJobs } from '../jobs/job-store.ts';
import { apply, currentAttempt, NOT_ACKNOWLEDGED, type Job, type JobEvent } from '../jobs/jobs.ts';
import { isHeard } from '../nodes/node-store.ts';
import { RpcError } from '../rpc/error.ts';
import type { Store } from '../store/store.ts';
import { HeldAttempts, type HeldAttempt } from './held-attempts.ts';
import type { WorkStream, WorkStreams } from './work-stream.ts';
import { readLeaseUse, readOpenLeases } from './lease-store.ts';

/** One transaction ends at most so many: it locks their jobs, and their clients' balances, until it commits. */
const MAX_ENDED_AT_ONCE = 100;

/** Why a control plane ends an attempt, beside that its time is over. */
export type LeaseFailure =
  /** No beat for a lost-period. */
  | 'NODE_LOST'
  | 'NODE_REVOKED'
  /** Its beats do not name it. */
  | 'ATTEMPT_MISSING';

/** Ends leases, and says what a lease allows. */
export class Leases {
  readonly held = new HeldAttempts();
  readonly #store: Store;
  readonly #blobs: Pick<Blobs, 'endJob'>;
  readonly #announcements: Announcements;
  readonly #streams: WorkStreams;
  readonly #maxAttempts: number;
  readonly #observer: JobObserver;

  constructor({
    store,
    blobs,
    announcements,
    streams,
    maxAttempts,
    observer,
  }: {
    readonly store: Store;
    readonly blobs: Pick<Blobs, 'endJob'>;
    readonly announcements: Announcements;
    readonly streams: WorkStreams;
    readonly maxAttempts: number;
    readonly observer: JobObserver;
  }) {
    this.#observer = observer;
    this.#maxAttempts = maxAttempts;
    this.#streams = streams;
    this.#store = store;
    this.#blobs = blobs;
    this.#announcements = announcements;
  }

  /**
   * Learns what nodes hold: acknowledged to other replicas, or before this one started. What they hold no
   * more is told of before it is forgotten: the announcement of whoever ended it may have been lost.
   */
  async load(
    tellNewsOf: (attempts: readonly HeldAttempt[]) => Promise<void> = async () => {},
  ): Promise<void> {
    const leases = await this.#store.read((em) => readOpenLeases(em, null));
    const acknowledged = leases.filter(({ isAcknowledged }) => isAcknowledged);
    await tellNewsOf(this.held.besides(acknowledged));
    this.held.replace(acknowledged);
  }

  /**
   * Fails these attempts, where they still are their jobs' current ones; each job is queued again or ends,
   * and then its hold goes back. At most 100 jobs in one transaction.
   */
  async fail(attempts: readonly (HeldAttempt & { failure: LeaseFailure })[]): Promise<void> {
    await this.#end(attempts, ({ attemptId, failure }) => ({
      kind: 'fail-attempt',
      attemptId,
      failure,
      maxAttempts: this.#maxAttempts,
    }));
  }

  /** Fails those of these attempts that are past one of their times. */
  async expire(attempts: readonly HeldAttempt[]): Promise<void> {
    await this.#end(attempts, ({ attemptId }) => ({
      kind: 'expire',
      attemptId,
      maxAttempts: this.#maxAttempts,
    }));
  }

  async #end<Ending extends HeldAttempt>(
    attempts: readonly Ending[],
    eventOf: (attempt: Ending) => JobEvent,
    unlessHeard: string | null = null,
  ): Promise<void> {
    for (let first = 0; first < attempts.length; first += MAX_ENDED_AT_ONCE) {
      const slice = attempts.slice(first, first + MAX_ENDED_AT_ONCE);
      await this.#endSlice(slice, eventOf, unlessHeard);
    }
  }

  async #endSlice<Ending extends HeldAttempt>(
    attempts: readonly Ending[],
    eventOf: (attempt: Ending) => JobEvent,
    unlessHeard: string | null,
  ): Promise<void> {
    const byJob = new Map(attempts.map((attempt) => [attempt.jobId, attempt]));
    const changed = await this.#change(
      [...byJob.keys()],
      (job) => eventOf(byJob.get(job.jobId)!),
      unlessHeard,
    );
    // What refused its end is over by now, or goes on: memory learns which with the next load.
    for (const attempt of attempts) this.held.remove(attempt);
    for (const job of changed) this.#forget(byJob.get(job.jobId)!, job);
    this.#observe(changed);
    this.announce(changed);
  }

  /** The node is told to stop what nobody will pay for, by us or by the replica that it is connected to. */
  #forget({ nodeId, attemptId }: HeldAttempt, { jobId, attempts }: Job): void {
    const state = attempts.find((attempt) => attempt.attemptId === attemptId)?.state;
    const failure = state?.kind === 'failed' ? state.failure : null;
    if (failure !== null) {
      this.#observer.attemptFailed(failure);
      this.#observer.step({ kind: 'attempt-failed', jobId, attemptId, nodeId, failure });
    }
    const stream = this.#streams.of(nodeId);
    if (stream !== null) endOnStream(stream, attemptId, failure);
    this.#announcements.publish(nodeTopic(nodeId));
  }

  /** The attempt is over: its node need not name it, nor acknowledge it. */
  ended({ nodeId, attemptId }: Omit<HeldAttempt, 'jobId'>): void {
    this.held.remove({ nodeId, attemptId });
    this.#streams.of(nodeId)?.settle(attemptId);
  }

  /** Ends jobs that no node took in time, and asks for the end of those that run for too long. */
  async timeOut(jobIds: readonly string[]): Promise<void> {
    if (jobIds.length === 0) return;
    const changed = await this.#change(jobIds, () => ({ kind: 'tick' }));
    this.#observe(changed);
    this.announce(changed);
    for (const attempt of changed.map(currentAttempt)) {
      if (attempt !== null) this.#announcements.publish(nodeTopic(attempt.nodeId));
    }
  }

  #observe(changed: readonly Job[]): void {
    for (const { jobId, state } of changed) {
      if (state.kind !== 'ended') continue;
      this.#observer.jobEnded(state.end);
      this.#observer.step({ kind: 'ended', jobId, end: state.end });
    }
  }

  /**
   * One event for each job; those that refuse it stay as they are, and all where that node is heard after
   * all. Answers the jobs that changed.
   */
  async #change(
    jobIds: readonly string[],
    eventOf: (job: Job) => JobEvent,
    unlessHeard: string | null = null,
  ): Promise<readonly Job[]> {
    return this.#store.transaction(async (em) => {
      const { records, nowMs } = await lockJobs(em, jobIds);
      if (unlessHeard !== null && (await isHeard(em, unlessHeard))) return [];
      const changes = records.flatMap((record) => {
        const outcome = apply(record.job, eventOf(record.job), nowMs);
        return outcome.kind === 'changed' ? [{ record, outcome }] : [];
      });
      return saveChanges(em, this.#blobs, changes);
    });
  }

  /** Ends all that the node holds. What it was not able to acknowledge yet is ended too. */
  async endLeasesOf(nodeId: string, failure: LeaseFailure): Promise<void> {
    const leases = await this.#store.read((em) => readOpenLeases(em, nodeId));
    await this.#end(
      leases,
      ({ attemptId }) => ({
        kind: 'fail-attempt',
        attemptId,
        failure,
        maxAttempts: this.#maxAttempts,
      }),
      // Whoever judged it lost may have been stopped since, and another replica have heard it.
      failure === 'NODE_LOST' ? nodeId : null,
    );
  }

  /** An accepted beat of the node names the attempts that it holds. */
  async beat(nodeId: string, attemptIds: readonly string[]): Promise<void> {
    const missing = this.held.beat(nodeId, attemptIds);
    await this.fail(missing.map((attempt) => ({ ...attempt, failure: 'ATTEMPT_MISSING' })));
  }

  /** After commit: wakes the jobs' watchers, and placement where there is something to place. */
  announce(jobs: readonly Job[]): void {
    for (const { jobId } of jobs) this.#announcements.publish(jobTopic(jobId));
    if (jobs.some(({ state }) => state.kind === 'queued')) this.#announcements.publish(QUEUE_TOPIC);
  }

  /** Whether this node may read the blob: module or input of an attempt that it holds. */
  async mayRead(nodeId: string, attemptId: string, digest: Uint8Array): Promise<boolean> {
    const use = await this.#store.read((em) => readLeaseUse(em, { nodeId, attemptId }));
    return (
      use !== null && (sameBytes(use.moduleDigest, digest) || sameBytes(use.inputDigest, digest))
    );
  }

  /** Whose output this node may upload, and how much; null where it does not hold the attempt. */
  async mayUpload(
    nodeId: string,
    attemptId: string,
  ): Promise<{ clientId: string; maxOutputBytes: number } | null> {
    const use = await this.#store.read((em) => readLeaseUse(em, { nodeId, attemptId }));
    return use === null
      ? null
      : { clientId: use.clientId, maxOutputBytes: Number(use.maxOutputBytes) };
  }
}

/**
 * Tells the node of an attempt that ended without its receipt. One that does not acknowledge orders gets
 * none until it opens another stream: it hangs, or the line to it does.
 */
export function endOnStream(stream: WorkStream, attemptId: string, failure: string | null): void {
  const isOurs = stream.unacknowledged.includes(attemptId);
  stream.settle(attemptId);
  stream.cancel(attemptId);
  if (!isOurs || failure !== NOT_ACKNOWLEDGED) return;
  stream.end(
    new RpcError(
      'UNAVAILABLE',
      'ORDER_UNACKNOWLEDGED',
      `working for '${stream.node.nodeId}': the order of '${attemptId}' was not acknowledged in time; open another stream`,
    ),
  );
}
