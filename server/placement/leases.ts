import { sameBytes } from '../../protocol/bill/digest.ts';
import { type Announcements, jobTopic, nodeTopic, QUEUE_TOPIC } from '../jobs/announcements.ts';
import type { Blobs } from '../blobs/blobs.ts';
import { saveChanges } from '../jobs/job-end-store.ts';
import { lockJobs } from '../jobs/job-store.ts';
import { apply, currentAttempt, type Job, type JobEvent } from '../jobs/jobs.ts';
import type { Store } from '../store/store.ts';
import { HeldAttempts, type HeldAttempt } from './held-attempts.ts';
import type { WorkStreams } from './work-stream.ts';
import { readLeaseUse, readOpenLeases } from './lease-store.ts';

/** Why a control plane ends an attempt. */
export type LeaseFailure =
  /** No beat for a lost-period. */
  | 'NODE_LOST'
  | 'NODE_REVOKED'
  | 'NOT_ACKNOWLEDGED'
  /** Its beats do not name it. */
  | 'ATTEMPT_MISSING'
  /** The node held it for longer than its deadline and all transfers could take. */
  | 'LEASE_EXPIRED';

/** Ends leases, and says what a lease allows. */
export class Leases {
  readonly held = new HeldAttempts();
  readonly #store: Store;
  readonly #blobs: Pick<Blobs, 'endUses'>;
  readonly #announcements: Announcements;
  readonly #streams: WorkStreams;
  readonly #maxAttempts: number;

  constructor({
    store,
    blobs,
    announcements,
    streams,
    maxAttempts,
  }: {
    readonly store: Store;
    readonly blobs: Pick<Blobs, 'endUses'>;
    readonly announcements: Announcements;
    readonly streams: WorkStreams;
    readonly maxAttempts: number;
  }) {
    this.#maxAttempts = maxAttempts;
    this.#streams = streams;
    this.#store = store;
    this.#blobs = blobs;
    this.#announcements = announcements;
  }

  /** Learns what nodes held before this replica started. */
  async load(): Promise<void> {
    const leases = await this.#store.read((em) => readOpenLeases(em, null));
    for (const lease of leases) if (lease.isAcknowledged) this.held.add(lease);
  }

  /**
   * Fails these attempts, where they still are their jobs' current ones; each job is queued again or ends,
   * and then its hold goes back. All in one transaction.
   */
  async fail(attempts: readonly (HeldAttempt & { failure: LeaseFailure })[]): Promise<void> {
    if (attempts.length === 0) return;
    const byJob = new Map(attempts.map((attempt) => [attempt.jobId, attempt]));
    const changed = await this.#change([...byJob.keys()], (job) => {
      const { attemptId, failure } = byJob.get(job.jobId)!;
      return { kind: 'fail-attempt', attemptId, failure, maxAttempts: this.#maxAttempts };
    });
    for (const attempt of attempts) this.#forget(attempt);
    this.announce(changed);
  }

  /** The node is told to stop what nobody will pay for. */
  #forget({ nodeId, attemptId }: HeldAttempt): void {
    this.ended({ nodeId, attemptId });
    this.#streams.of(nodeId)?.cancel(attemptId);
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
    this.announce(changed);
    for (const attempt of changed.map(currentAttempt)) {
      if (attempt !== null) this.#announcements.publish(nodeTopic(attempt.nodeId));
    }
  }

  /** One event for each job; those that refuse it stay as they are. Answers the jobs that changed. */
  async #change(
    jobIds: readonly string[],
    eventOf: (job: Job) => JobEvent,
  ): Promise<readonly Job[]> {
    return this.#store.transaction(async (em) => {
      const { records, nowMs } = await lockJobs(em, jobIds);
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
    await this.fail(leases.map((lease) => ({ ...lease, failure })));
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
