// The edge where time enters the simulator.

import { setTimeout as delay } from 'node:timers/promises';

export interface SimulatorClock {
  /** Unix milliseconds. */
  now(): number;
  /** Resolves after so many milliseconds. */
  delay(delayMs: number): Promise<unknown>;
}

export const simulatorClock: SimulatorClock = {
  now: () => Date.now(),
  delay: (delayMs) => delay(delayMs),
};
