// A clock that a test moves by hand: timers fire when their time comes, in order.
import type { Clock } from '../../server/clock.ts';

interface Timer {
  atMs: number;
  readonly everyMs: number | null;
  readonly task: () => void;
}

export class TestClock implements Clock {
  #nowMs: number;
  readonly #timers = new Set<Timer>();

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + delayMs, everyMs: null, task });
  }

  every(intervalMs: number, task: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + intervalMs, everyMs: intervalMs, task });
  }

  /** Lets so much time pass; what was due in it has run (though not what it awaits). */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const due = [...this.#timers].filter(({ atMs }) => atMs <= endMs);
      const next = due.toSorted((left, right) => left.atMs - right.atMs)[0];
      if (next === undefined) break;
      this.#nowMs = next.atMs;
      if (next.everyMs === null) this.#timers.delete(next);
      else next.atMs += next.everyMs;
      next.task();
    }
    this.#nowMs = endMs;
  }

  /** Lets a long time pass at once, as a machine that slept: each timer that was due has run once. */
  jump(byMs: number): void {
    this.#nowMs += byMs;
    for (const timer of this.#timers) {
      if (timer.atMs > this.#nowMs) continue;
      if (timer.everyMs === null) this.#timers.delete(timer);
      else timer.atMs = this.#nowMs + timer.everyMs;
      timer.task();
    }
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
}
