// What other replicas wrote of the fleet: the rows that changed since the last look, and now and then all,
// should a look have missed one.

import { clockAheadMs, MAX_CLOCK_DISTANCE_MS } from '../clock-distance.ts';
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
  #isClockOff = false;
  readonly #onError: (doing: string, cause: unknown) => void;

  constructor({
    store,
    clock,
    onError,
  }: {
    readonly store: Store;
    readonly clock: Pick<Clock, 'now'>;
    readonly onError: (doing: string, cause: unknown) => void;
  }) {
    this.#store = store;
    this.#clock = clock;
    this.#onError = onError;
  }

  /** All nodes the first time, afterwards those that may have changed since. */
  read(): Promise<readonly FleetRow[]> {
    return this.#store.read(async (em) => {
      const askedMs = this.#clock.now();
      const nowMs = await databaseNowMs(em);
      const answeredMs = this.#clock.now();
      this.#compareClocks(clockAheadMs({ askedMs, answeredMs, thereMs: nowMs }));
      const sinceMs = this.#sinceMs(nowMs);
      const rows = await readFleet(em, sinceMs);
      if (sinceMs === null) this.#wholeReadMs = nowMs;
      this.#readMs = nowMs;
      return rows;
    });
  }

  /** Told once each time that they part: leases and states go by the database's, beats by ours. */
  #compareClocks(aheadMs: number): void {
    const isOff = Math.abs(aheadMs) > MAX_CLOCK_DISTANCE_MS;
    if (isOff && !this.#isClockOff) {
      const cause = new Error(
        `the database's clock is ${aheadMs} ms ahead of ours, and ${MAX_CLOCK_DISTANCE_MS} is the most; correct the clock of one`,
      );
      this.#onError('comparing clocks with the database', cause);
    }
    this.#isClockOff = isOff;
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
