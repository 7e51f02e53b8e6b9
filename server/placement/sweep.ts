// What nobody is woken for: times that pass. Also finds what a lost announcement or a crash left behind.
import type { Store } from '../store/store.ts';
import type { Dispatch } from './dispatch.ts';
import { readLeasesToEnd, readOpenLeases, readOverdueJobs, type OpenLease } from './lease-store.ts';
import type { LeaseFailure, Leases } from './leases.ts';
import type { Placer } from './placer.ts';
import type { SettlementSigning } from './settlement-signing.ts';

/** A missed acknowledgement is noticed at most so late. */
export const SWEEP_INTERVAL_MS = 1_000;

/** How many sweeps pass between two looks at what is rarely wrong: unsigned settlements, forgotten nodes. */
const SWEEPS_BETWEEN_LOOKS = 10;

export interface SweepOptions {
  readonly store: Store;
  readonly leases: Leases;
  readonly dispatch: Dispatch;
  readonly placer: Placer;
  readonly signing: SettlementSigning;
  readonly isLive: (nodeId: string) => boolean;
  /**
   * Leases given before this replica started end no earlier than `untilMs`, one full lost-period later:
   * their nodes may be alive and only have lost us. Unix milliseconds of the database.
   */
  readonly grace: { readonly startedMs: number; readonly untilMs: number };
  readonly databaseNowMs: () => Promise<number>;
  readonly onError: (doing: string, cause: unknown) => void;
}

export class Sweep {
  readonly #options: SweepOptions;
  #sweeps = 0;
  #running: Promise<void> | null = null;

  constructor(options: SweepOptions) {
    this.#options = options;
  }

  /** One sweep, unless one is running. */
  run(): Promise<void> {
    this.#running ??= this.#sweep()
      .catch((cause: unknown) => this.#options.onError('sweeping leases', cause))
      .finally(() => {
        this.#running = null;
      });
    return this.#running;
  }

  async close(): Promise<void> {
    await this.#running;
  }

  async #sweep(): Promise<void> {
    const { store, leases, dispatch, placer, databaseNowMs } = this.#options;
    const nowMs = await databaseNowMs();
    const { overdue, toCancel } = await store.read((em) => readLeasesToEnd(em));
    await leases.fail(
      overdue
        .filter((lease) => this.#mayEnd(lease, nowMs))
        .map((lease) => ({ ...lease, failure: failureOf(lease, nowMs) })),
    );
    dispatch.cancel(toCancel.filter(({ isAcknowledged }) => isAcknowledged));
    await leases.timeOut(await store.read((em) => readOverdueJobs(em)));
    if (this.#sweeps++ % SWEEPS_BETWEEN_LOOKS === 0) await this.#look(nowMs);
    placer.wake();
  }

  async #look(nowMs: number): Promise<void> {
    const { store, leases, signing, isLive, grace } = this.#options;
    await signing
      .signAll()
      .catch((cause: unknown) => this.#options.onError('signing settlements', cause));
    if (nowMs < grace.untilMs) return;
    const open = await store.read((em) => readOpenLeases(em, null));
    const lost = open.filter(({ nodeId, isAcknowledged }) => isAcknowledged && !isLive(nodeId));
    await leases.fail(lost.map((lease) => ({ ...lease, failure: 'NODE_LOST' as const })));
  }

  #mayEnd({ leasedMs }: OpenLease, nowMs: number): boolean {
    const { startedMs, untilMs } = this.#options.grace;
    return leasedMs >= startedMs || nowMs >= untilMs;
  }
}

function failureOf(lease: OpenLease, nowMs: number): LeaseFailure {
  return lease.leaseEndMs < nowMs ? 'LEASE_EXPIRED' : 'NOT_ACKNOWLEDGED';
}
