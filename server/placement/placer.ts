import type { Announcements } from '../jobs/announcements.ts';
import { QUEUE_TOPIC, workTopic } from '../jobs/announcements.ts';
import type { JobObserver } from '../jobs/job-observer.ts';
import type { JobRecord } from '../jobs/job-record.ts';
import { apply } from '../jobs/jobs.ts';
import { PassedOver } from '../jobs/passed-over.ts';
import { InFlightExceeded, requireInFlight } from '../jobs/queue-store.ts';
import type { Store } from '../store/store.ts';
import { assign, passedOver, type Assignment } from './assignment.ts';
import { insertLeases, lockQueuedJobs, type NewLease } from './lease-store.ts';
import type { OrderSender } from './order-sender.ts';
import { leaseEndMs, makeOrder } from './work-order.ts';
import type { WorkStream, WorkStreams } from './work-stream.ts';

/** An order that is not acknowledged for so long goes to another node. */
export const ACKNOWLEDGE_MS = 5_000;

/** One transaction places at most so many jobs: about as many as one statement writes in a few milliseconds. */
const MAX_BATCH = 32;

/** Jobs read beyond the free slots, so that a few that wait for another node do not hold up the rest. */
const EXTRA_JOBS = 32;

/** Broken jobs that are told of once each; beyond so many they are told of again. */
const MAX_TOLD = 1_000;

export interface PlacerOptions {
  readonly store: Store;
  readonly streams: WorkStreams;
  readonly sender: OrderSender;
  readonly announcements: Announcements;
  /** Live and enrolled: neither draining, lost nor revoked. */
  readonly mayTakeWork: (nodeId: string) => boolean;
  /** All nodes that may take work, whichever replica they are connected to. */
  readonly workingNodes: () => readonly string[];
  readonly signer: { readonly keyId: Uint8Array; readonly chainDigest: Uint8Array };
  readonly isolationSecret: Uint8Array;
  readonly transferGraceMs: number;
  /** Jobs that one client may have in flight, where it has no quota of its own. */
  readonly jobsInFlight: number;
  readonly newAttemptId: () => string;
  readonly observer: Pick<JobObserver, 'step'>;
  /** A failure in the background, for the log. */
  readonly onError: (doing: string, cause: unknown) => void;
}

/**
 * Gives queued jobs to nodes with free slots: one batch at a time, woken by a queued job or an offer. While
 * a batch is being written, what comes in waits for the next.
 */
export class Placer {
  readonly #options: PlacerOptions;
  #check: () => void = () => {};
  #isWoken = false;
  #isQueueEmpty = false;
  readonly #passedOver = new PassedOver();
  /** Broken jobs that the log has. */
  readonly #toldOf = new Set<string>();
  #running: Promise<void> | null = null;
  #unsubscribe: () => void;

  constructor(options: PlacerOptions) {
    this.#options = options;
    this.#unsubscribe = options.announcements.subscribe(QUEUE_TOPIC, () => this.wake());
  }

  /** `check` may end streams that are of another time; it is called before they are given work. */
  beforeEachBatch(check: () => void): void {
    this.#check = check;
  }

  /** Slots came free: there is nothing to do where the queue was empty and nobody queued since. */
  wakeForSlots(): void {
    if (!this.#isQueueEmpty) this.wake();
  }

  /** Something may be placed. */
  wake(): void {
    this.#isQueueEmpty = false;
    this.#isWoken = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
      // Woken after the last look and before this line.
      if (this.#isWoken) this.wake();
    });
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    this.#isWoken = false;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isWoken) {
      this.#isWoken = false;
      try {
        if (await this.#placeBatch()) this.#isWoken = true;
      } catch (cause) {
        if (cause instanceof InFlightExceeded) this.#isWoken = true;
        else this.#options.onError('placing queued jobs', cause);
      }
    }
  }

  /** Answers whether it placed some and there may be more. */
  async #placeBatch(): Promise<boolean> {
    this.#check();
    const { store, workingNodes } = this.#options;
    const expected = freeSlotsOf(this.#working());
    if (expected === 0) return false;
    const taken: { stream: WorkStream; attemptId: string }[] = [];
    this.#isQueueEmpty = true;
    try {
      const placed = await store.transaction(async (em) => {
        const { jobsInFlight } = this.#options;
        const { records, nowMs, looks, nearQuota, waitingJobs } = await lockQueuedJobs(em, {
          limit: Math.min(expected, MAX_BATCH) + EXTRA_JOBS,
          jobsInFlight,
          ...this.#passedOver.next(),
        });
        const jobs = records.map(({ job }) => job);
        // Not before the queue was read: what came meanwhile woke nobody, the queue being taken for empty.
        const working = this.#working();
        const workers = working.map(({ node: { nodeId }, freeSlots, traits }) => ({
          nodeId,
          freeSlots,
          ...traits,
        }));
        const { all, leased } = this.#leaseAll(records, {
          assign: (some) => assign(some, workers, { workingNodes, nowMs }),
          streamOf: (nodeId) => working.find(({ node }) => node.nodeId === nodeId)!,
          nowMs,
        });
        this.#passedOver.learn(looks, {
          placed: new Set(all.map(({ job }) => job.jobId)),
          passedOver: passedOver(jobs, all, freeSlotsOf(working)),
        });
        for (const { stream, attemptId } of leased) {
          taken.push({ stream, attemptId });
          stream.take(attemptId);
        }
        if (leased.length < waitingJobs) this.#isQueueEmpty = false;
        if (leased.length > 0) await insertLeases(em, leased, this.#options.signer);
        const clientIds = leased.map(({ job }) => job.clientId).filter((one) => nearQuota.has(one));
        await requireInFlight(em, { clientIds, jobsInFlight });
        return leased;
      });
      this.#send(placed);
      const mayBeMore = placed.length > 0 && !this.#isQueueEmpty;
      // Other replicas passed over what was locked here, also what was not placed after all.
      if (mayBeMore) this.#options.announcements.publish(QUEUE_TOPIC);
      return mayBeMore;
    } catch (cause) {
      this.#isQueueEmpty = false;
      for (const { stream, attemptId } of taken) stream.settle(attemptId);
      throw cause;
    }
  }

  /** The streams of nodes that may take work, with a free slot or without. */
  #working(): readonly WorkStream[] {
    const { streams, mayTakeWork } = this.#options;
    return streams.all().filter(({ node }) => mayTakeWork(node.nodeId));
  }

  /**
   * Leases what was assigned, as much as one batch holds. A job that no order can be made of is left out, and
   * its slot goes to the next: one that is broken must not hold up the others.
   */
  #leaseAll(
    records: readonly JobRecord[],
    batch: {
      readonly assign: (some: readonly JobRecord[]) => readonly Assignment[];
      readonly streamOf: (nodeId: string) => WorkStream;
      readonly nowMs: number;
    },
  ): { readonly all: readonly Assignment[]; readonly leased: readonly Placed[] } {
    let sound = records;
    for (;;) {
      const all = batch.assign(sound);
      const broken = new Set<Assignment['job']>();
      const leased: Placed[] = [];
      for (const { job, nodeId } of all.slice(0, MAX_BATCH)) {
        const record = sound.find((one) => one.job === job)!;
        try {
          const lease = this.#lease(record, nodeId, batch.streamOf(nodeId), batch.nowMs);
          if (lease !== null) leased.push(lease);
        } catch (cause) {
          broken.add(job);
          this.#tellOnce(job.jobId, cause);
        }
      }
      if (broken.size === 0) return { all, leased };
      sound = sound.filter(({ job }) => !broken.has(job));
    }
  }

  /** It comes up with each batch, until it is cancelled or ends QUEUE_TIMEOUT. */
  #tellOnce(jobId: string, cause: unknown): void {
    if (this.#toldOf.has(jobId)) return;
    if (this.#toldOf.size >= MAX_TOLD) this.#toldOf.clear();
    this.#toldOf.add(jobId);
    this.#options.onError(`ordering the job '${jobId}', which is passed over`, cause);
  }

  #lease(
    { job, terms }: JobRecord,
    nodeId: string,
    stream: WorkStream,
    nowMs: number,
  ): Placed | null {
    const { newAttemptId, transferGraceMs, isolationSecret } = this.#options;
    const attemptId = newAttemptId();
    const attempt = {
      attemptId,
      nodeId,
      acknowledgeByMs: nowMs + ACKNOWLEDGE_MS,
      leaseEndMs: leaseEndMs(terms, { leasedMs: nowMs, transferGraceMs }),
    };
    const outcome = apply(job, { kind: 'lease', attempt }, nowMs);
    if (outcome.kind !== 'changed') return null;
    const { keyId: nodeKeyId, chainDigest: nodeChainDigest } = stream.node;
    const { payload, taskId } = makeOrder({ terms, job: outcome.job, nodeKeyId, isolationSecret });
    return {
      attemptId,
      stream,
      job: outcome.job,
      taskId,
      orderPayload: payload,
      nodeKeyId,
      nodeChainDigest,
      inputDigest: terms.inputDigest,
      inputBytes: terms.inputBytes,
      requestId: terms.submitRequestId,
    };
  }

  /** Watchers are told with the acknowledgement, a moment later. */
  #send(placed: readonly Placed[]): void {
    for (const one of placed) {
      this.#sendOrder(one).catch((cause: unknown) =>
        this.#options.onError(`sending the order of '${one.attemptId}'`, cause),
      );
    }
  }

  async #sendOrder({ stream, attemptId, orderPayload, ...rest }: Placed): Promise<void> {
    const { sender, signer, announcements, observer } = this.#options;
    const { inputDigest, inputBytes, requestId, job } = rest;
    const { nodeId } = stream.node;
    observer.step({ kind: 'ordered', requestId, jobId: job.jobId, attemptId, nodeId });
    const payload = { payload: orderPayload, keyId: signer.keyId };
    await sender.send(stream, { attemptId, ...payload, inputDigest, inputBytes, requestId });
    // It ended meanwhile: where its node has a newer one, that one sends the order.
    if (stream.hasEnded) announcements.publish(workTopic(stream.node.nodeId));
  }
}

function freeSlotsOf(streams: readonly WorkStream[]): number {
  return streams.reduce((sum, { freeSlots }) => sum + freeSlots, 0);
}

interface Placed extends NewLease {
  readonly attemptId: string;
  readonly stream: WorkStream;
  readonly inputDigest: Uint8Array;
  readonly inputBytes: bigint;
  readonly requestId: string;
}
