// The edge where time and chance enter the agent. Everything else takes `now`, a Clock or a fraction.
import { randomBytes, randomInt } from 'node:crypto';

/** Wall time and timers of one process. */
export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Runs `task` once, `delayMs` from now, unless the returned function is called before. */
  after(delayMs: number, task: () => void): () => void;
}

/** A uniform fraction in [0, 1). */
export type Random = () => number;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};

/** So many bytes that nobody can guess. */
export type RandomBytes = (bytes: number) => Uint8Array;

export const systemRandomBytes: RandomBytes = (bytes) => randomBytes(bytes);

const FRACTION_STEPS = 2 ** 47;

export const systemRandom: Random = () => randomInt(FRACTION_STEPS) / FRACTION_STEPS;

/** Ends `delayMs` from now, or as soon as the signal is aborted; never rejects. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const cancel = clock.after(delayMs, done);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
