// Repeating a call that is safe to repeat, until a control plane is there again.
import { setTimeout as delay } from 'node:timers/promises';

import { isCut } from './replicas.ts';

/** How often in a row. With the waits between, some 20 s: a control plane that starts again is back by then. */
export const MAX_RETRIES = 15;
const LEAST_DELAY_MS = 50;
const MOST_DELAY_MS = 2_000;

/** Waits before the `retry`-th retry, from 1. */
export async function pauseBefore(retry: number): Promise<void> {
  await delay(Math.min(LEAST_DELAY_MS * 2 ** (retry - 1), MOST_DELAY_MS));
}

/** Makes the call, and makes it again where a replica was not there. Throws the last failure. */
export async function untilThere<T>(call: () => Promise<T>): Promise<T> {
  for (let retry = 1; ; retry++) {
    try {
      return await call();
    } catch (error) {
      if (!isCut(error) || retry > MAX_RETRIES) throw error;
    }
    await pauseBefore(retry);
  }
}
