// A clock that every wait moves, so that a minute of waits takes no time.
import type { Clock } from '../../agent/clock.ts';

export class WaitingClock implements Clock {
  readonly waits: number[] = [];
  #nowMs = 0;

  now(): number {
    return this.#nowMs;
  }

  /** What is not waited for takes so long. */
  pass(ms: number): void {
    this.#nowMs += ms;
  }

  after(delayMs: number, task: () => void): () => void {
    this.waits.push(delayMs);
    this.pass(delayMs);
    setImmediate(task);
    return () => {};
  }
}
