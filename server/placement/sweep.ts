// What nobody is woken for: times that pass. Also finds what a lost announcement or a crash left behind. Any
// number of replicas may sweep at once: whatever a sweep finds is judged again under the job's lock.
import { jobTopic, type Announcements } from '../jobs/announcements.ts';
import { leasesHoldUntilMs } from '../nodes/liveness.ts';
import { liveNodes } from '../nodes/liveness-store.ts';
import type { Clock } from '../clock.ts';
import { RpcError } from '../rpc/error.ts';
import type { Store } from '../store/store.ts';
import { giveTimeAfterOutage } from './acknowledgement-store.ts';
import type { Dispatch } from './dispatch.ts';
import { readOpenLeases, type OpenLease } from './lease-store.ts';
import type { Leases } from './leases.ts';
import { ACKNOWLEDGE_MS, type Placer } from './placer.ts';
import { writeProgress } from './progress-store.ts';
import type { SettlementSigning } from './settlement-signing.ts';
import { readDue, type Due } from './sweep-store.ts';

/** A missed acknowledgement is noticed at most so late. */
export const SWEEP_INTERVAL_MS = 1_000;

/** How far guests are is written with every second sweep: a job gets one revision for it in so long. */
const SWEEPS_BETWEEN_PROGRESS = 2;

/** One transaction holds so many jobs' rows at most, for a few milliseconds. */
const MAX_PROGRESS_BATCH = 200;

/** What announcements would have told is looked at so often, in case that one was lost. */
const SWEEPS_BETWEEN_LOOKS = 5;

/** A database that answers so late was away as well: others wait for its answers, too. */
const SLOW_ANSWER_MS = 2_000;

/** How many sweeps pass between two looks at what is rarely wrong: unsigned settlements, forgotten nodes. */
const SWEEPS_BETWEEN_HEALINGS = 10;

export interface SweepOptions {
  readonly store: Store;
  readonly clock: Pick<Clock, 'now'>;
  readonly leases: Leases;
  readonly dispatch: Dispatch;
  readonly placer: Placer;
  readonly signing: SettlementSigning;
  readonly announcements: Announcements;
  readonly isLive: (nodeId: string) => boolean;
  /**
   * When this replica started: leases given before end no earlier than one full lost-period later, for
   * their nodes may be alive and only have lost us. Unix milliseconds of the database.
   */
  readonly startedMs: number;
  /** How long a node may be silent before it is lost, at the base interval. */
  readonly lostPeriodMs: number;
  readonly onError: (doing: string, cause: unknown) => void;
}

export class Sweep {
  readonly #options: SweepOptions;
  #sweeps = 0;
  /** The database was away since this time of its own; what nodes acknowledged since may wait to be written. */
  #awaySinceMs: number | null = null;
  /** When it answered last. */
  #answeredMs = 0;
  #running: Promise<void> | null = null;

  constructor(options: SweepOptions) {
    this.#options = options;
  }

  /** One sweep, unless one is running. */
  run(): Promise<void> {
    this.#running ??= this.#sweep()
      .catch((cause: unknown) => {
        if (isOutage(cause)) this.#awaySinceMs ??= this.#answeredMs;
        this.#options.onError('sweeping leases', cause);
      })
      .finally(() => {
        this.#running = null;
      });
    return this.#running;
  }

  async close(): Promise<void> {
    await this.#running;
  }

  async #sweep(): Promise<void> {
    const { leases, dispatch, placer, startedMs, lostPeriodMs } = this.#options;
    const { nowMs, grace, overdue, toCancel, overdueJobs } = await this.#readDue();
    const untilMs = Math.max(
      startedMs + lostPeriodMs,
      leasesHoldUntilMs(grace, nowMs, lostPeriodMs),
    );
    await leases.expire(overdue.filter((lease) => this.#mayEnd(lease, nowMs, untilMs)));
    dispatch.cancel(toCancel.filter(({ isAcknowledged }) => isAcknowledged));
    await leases.timeOut(overdueJobs);
    const sweep = this.#sweeps++;
    if (sweep % SWEEPS_BETWEEN_PROGRESS === 0) await this.#writeProgress();
    if (sweep % SWEEPS_BETWEEN_LOOKS === 0) await this.#look();
    if (sweep % SWEEPS_BETWEEN_HEALINGS === 0) await this.#heal(nowMs < untilMs);
    placer.wake();
  }

  /** After an outage, orders have their time to be acknowledged once more before they are given to others. */
  async #readDue(): Promise<Due> {
    const { store, clock } = this.#options;
    const askedMs = clock.now();
    const due = await store.read((em) => readDue(em));
    if (clock.now() - askedMs > SLOW_ANSWER_MS) this.#awaySinceMs ??= this.#answeredMs;
    const sinceMs = this.#awaySinceMs;
    if (sinceMs === null) {
      this.#answeredMs = due.nowMs;
      return due;
    }
    await store.transaction((em) =>
      giveTimeAfterOutage(em, { sinceMs, acknowledgeMs: ACKNOWLEDGE_MS }),
    );
    const after = await store.read((em) => readDue(em));
    this.#awaySinceMs = null;
    this.#answeredMs = after.nowMs;
    return after;
  }

  async #writeProgress(): Promise<void> {
    const { store, dispatch, announcements, onError } = this.#options;
    const progress = dispatch.takeProgress();
    for (let first = 0; first < progress.length; first += MAX_PROGRESS_BATCH) {
      const batch = progress.slice(first, first + MAX_PROGRESS_BATCH);
      try {
        const jobIds = await store.transaction((em) => writeProgress(em, batch));
        for (const jobId of jobIds) announcements.publish(jobTopic(jobId));
      } catch (cause) {
        // Nothing depends on it: what a sweep does for leases goes on.
        onError('writing how far guests are', cause);
        return;
      }
    }
  }

  async #look(): Promise<void> {
    const { dispatch, leases } = this.#options;
    dispatch.look();
    await leases.load((attempts) => dispatch.tellNewsOf(attempts));
  }

  async #heal(isGrace: boolean): Promise<void> {
    const { store, leases, signing, isLive, onError } = this.#options;
    await signing.signAll().catch((cause: unknown) => onError('signing settlements', cause));
    if (isGrace) return;
    const open = await store.read((em) => readOpenLeases(em, null));
    const silent = new Set(open.map(({ nodeId }) => nodeId).filter((nodeId) => !isLive(nodeId)));
    if (silent.size === 0) return;
    // Another replica may have heard them a moment ago.
    const live = await store.read((em) => liveNodes(em, [...silent]));
    for (const nodeId of silent.difference(live)) await leases.endLeasesOf(nodeId, 'NODE_LOST');
  }

  /**
   * In a grace no acknowledged lease ends, and none that may have been acknowledged to a replica that was
   * killed before it wrote so.
   */
  #mayEnd({ leasedMs, isAcknowledged }: OpenLease, nowMs: number, untilMs: number): boolean {
    if (nowMs >= untilMs) return true;
    return !isAcknowledged && leasedMs >= this.#options.startedMs;
  }
}

/** The database is away, or takes nothing. */
function isOutage(cause: unknown): boolean {
  return (
    cause instanceof RpcError &&
    (cause.code === 'UNAVAILABLE' || cause.code === 'RESOURCE_EXHAUSTED')
  );
}
