import type { Clock } from '../clock.ts';
import type { Announcements } from './announcements.ts';

/** Who waits looks by itself so often: only a lost announcement makes that necessary. */
const LOOK_INTERVAL_MS = 5_000;

export interface LooksOptions {
  readonly topic: string;
  readonly announcements: Announcements;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * One step for each time to look at what the topic is about: at once, after an announcement, and now and
 * then. What is announced between two steps is one more step. Ends when the signal aborts.
 */
export async function* looks({
  topic,
  announcements,
  clock,
  signal,
}: LooksOptions): AsyncGenerator<void, void, undefined> {
  let isStale = true;
  let wake: (() => void) | null = null;
  const look = () => {
    isStale = true;
    wake?.();
  };
  const stops = [announcements.subscribe(topic, look), clock.every(LOOK_INTERVAL_MS, look)];
  signal.addEventListener('abort', look);
  try {
    while (!signal.aborted) {
      if (isStale) {
        isStale = false;
        yield;
        continue;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = null;
    }
  } finally {
    for (const stop of stops) stop();
    signal.removeEventListener('abort', look);
  }
}
