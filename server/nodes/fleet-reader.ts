// What other replicas wrote of the fleet: the rows that changed since the last look, and now and then all,
// should a look have missed one.

import { clockAheadMs } from '../clock-distance.ts';
import type { Clock } from '../clock.ts';
import { databaseNowMs } from '../store/now.ts';
import type { Store } from '../store/store.ts';
import { readFleet, type FleetRow } from './liveness-store.ts';

/**
 * A change becomes visible when it is committed, which may be so long after the time that it is written
 * with. A longer transaction waits for the next look at all.
 */
const OVERLAP_MS = 10_000;
const WHOLE_INTERVAL_MS = 60_000;

export class FleetReader {
  readonly #store: Store;
  readonly #clock: Pick<Clock, 'now'>;
  #readMs: number | null = null;
  #wholeReadMs = 0;
  #databaseAheadMs = 0;

  constructor({ store, clock }: { readonly store: Store; readonly clock: Pick<Clock, 'now'> }) {
    this.#store = store;
    this.#clock = clock;
  }

  /** How far the database's clock was ahead of ours at the last look, behind where negative. */
  get databaseAheadMs(): number {
    return this.#databaseAheadMs;
  }

  /** All nodes the first time, afterwards those that may have changed since. */
  read(): Promise<readonly FleetRow[]> {
    return this.#store.read(async (em) => {
      const askedMs = this.#clock.now();
      const nowMs = await databaseNowMs(em);
      this.#databaseAheadMs = clockAheadMs({
        askedMs,
        answeredMs: this.#clock.now(),
        thereMs: nowMs,
      });
      const sinceMs = this.#sinceMs(nowMs);
      const rows = await readFleet(em, sinceMs);
      if (sinceMs === null) this.#wholeReadMs = nowMs;
      this.#readMs = nowMs;
      return rows;
    });
  }

  /** Null for all: also after the database's clock was set back. */
  #sinceMs(nowMs: number): number | null {
    const readMs = this.#readMs;
    if (readMs === null || nowMs < readMs || nowMs - this.#wholeReadMs >= WHOLE_INTERVAL_MS) {
      return null;
    }
    return readMs - OVERLAP_MS;
  }
}
