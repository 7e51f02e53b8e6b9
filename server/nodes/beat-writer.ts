// What beats said, on its way to the database: the beat path touches only memory, and everything that came
// since the last time is written at once.

import type { Clock } from '../clock.ts';
import type { Store } from '../store/store.ts';
import type { Beat } from './beat.ts';
import { byNodeId, recordBeats, type FleetRow } from './liveness-store.ts';

export interface BeatWriterOptions {
  readonly store: Store;
  readonly clock: Pick<Clock, 'now'>;
  /** Of a granted interval. */
  readonly lostPeriodMs: (grantedIntervalMs: number) => number;
  /** The oldest that a beat may be when it is written; older is a clock that was set. */
  readonly maxAgeMs: number;
}

export class BeatWriter {
  readonly #options: BeatWriterOptions;
  #unwritten = new Map<string, Beat>();
  #beingWritten: ReadonlyMap<string, Beat> = new Map();
  /** When the oldest beat that is not in the database was accepted. */
  #unwrittenSinceMs: number | null = null;
  #writing: Promise<readonly FleetRow[]> | null = null;

  constructor(options: BeatWriterOptions) {
    this.#options = options;
  }

  add(nodeId: string, beat: Beat): void {
    this.#unwritten.set(nodeId, beat);
    this.#unwrittenSinceMs ??= beat.atMs;
  }

  /** Whether the node was heard by us since what the database says of it. */
  has(nodeId: string): boolean {
    return this.#unwritten.has(nodeId) || this.#beingWritten.has(nodeId);
  }

  /** How long ago the oldest beat came that the database does not have; 0 where it has all. */
  unwrittenForMs(nowMs: number): number {
    return this.#unwrittenSinceMs === null ? 0 : nowMs - this.#unwrittenSinceMs;
  }

  /**
   * Writes what came since the last time, or waits for the write under way. Beats that cannot be written
   * stay for the next. Answers the nodes that had been lost.
   */
  flush(): Promise<readonly FleetRow[]> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  async #write(): Promise<readonly FleetRow[]> {
    if (this.#unwritten.size === 0) return [];
    const { store, clock, lostPeriodMs, maxAgeMs } = this.#options;
    const beats = this.#unwritten;
    const nowMs = clock.now();
    this.#unwritten = new Map();
    this.#beingWritten = beats;
    const rows = [...beats]
      .map(([nodeId, beat]) => ({
        ...beat,
        nodeId,
        ageMs: Math.min(Math.max(0, nowMs - beat.atMs), maxAgeMs),
        lostPeriodMs: lostPeriodMs(beat.grantedIntervalMs),
      }))
      .toSorted(byNodeId);
    try {
      const found = await store.transaction((em) => recordBeats(em, rows));
      this.#unwrittenSinceMs = this.#unwritten.size === 0 ? null : nowMs;
      return found;
    } catch (cause) {
      for (const [nodeId, beat] of beats) {
        if (!this.#unwritten.has(nodeId)) this.#unwritten.set(nodeId, beat);
      }
      throw cause;
    } finally {
      this.#beingWritten = new Map();
    }
  }
}
