// Whether this process stood still: it was stopped and continued, or its machine slept. What it knew of its
// streams and of their nodes' slots is of another time then, though nothing in it changed.
import type { Clock } from '../clock.ts';

const INTERVAL_MS = 1_000;

export class Pulse {
  readonly #clock: Clock;
  readonly #longestGapMs: number;
  readonly #onGap: (gapMs: number) => void;
  #lastMs: number;
  #stop: () => void = () => {};

  /** `onGap` is called once for each gap of wall time that is longer, before anything else is done. */
  constructor({
    clock,
    longestGapMs,
    onGap,
  }: {
    readonly clock: Clock;
    readonly longestGapMs: number;
    readonly onGap: (gapMs: number) => void;
  }) {
    this.#clock = clock;
    this.#longestGapMs = longestGapMs;
    this.#onGap = onGap;
    this.#lastMs = clock.now();
    this.#wait();
  }

  /** To be called before what is known is acted upon. */
  check(): void {
    const nowMs = this.#clock.now();
    const gapMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (gapMs > this.#longestGapMs) this.#onGap(gapMs);
  }

  close(): void {
    this.#stop();
  }

  #wait(): void {
    this.#stop = this.#clock.after(INTERVAL_MS, () => {
      this.#wait();
      this.check();
    });
  }
}
