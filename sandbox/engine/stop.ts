// Deadline and cancel, as rules over numbers. Both are asked for by setting a word that the guest's
// thread reads where its fuel is refilled, so that the fuel at the stop is a number of the profile: a
// replay on that much fuel runs out at the very same place, with the very same memory.

export const EPOCH_MS = 10;
const EPOCH_NS = BigInt(EPOCH_MS) * 1_000_000n;

/** A guest that has not stopped by then sits in one long operation, and its process is killed. */
export const STOP_ANSWER_MS = 1000;

/** A machine slower than this has failed the guest: less than a hundredth of what V8 does anywhere. */
export const FLOOR_FUEL_PER_SECOND = 20_000_000n;

const NS_PER_SECOND = 1_000_000_000n;

/** The stop word. The first to be set stays. */
export const StopWord = { NONE: 0, DEADLINE: 1, CANCEL: 2 } as const;
export type StopWord = (typeof StopWord)[keyof typeof StopWord];

export type StopEnd = 'DEADLINE_EXCEEDED' | 'CANCELLED';

/** How a guest that was stopped by `word` ended. */
export function endOfStop(word: number): StopEnd {
  return word === StopWord.CANCEL ? 'CANCELLED' : 'DEADLINE_EXCEEDED';
}

/** A deadline in nanoseconds. */
export function deadlineNs(epochs: number): bigint {
  return BigInt(epochs) * EPOCH_NS;
}

/** Whether a guest's time is up: what it slept counts as if the time had passed. */
export function isPastDeadline(run: {
  epochs: number;
  elapsedNs: bigint;
  sleptNs: bigint;
}): boolean {
  return run.elapsedNs + run.sleptNs >= deadlineNs(run.epochs);
}

/**
 * Whether a run that ended at its deadline did less than 20 million fuel per second of the time it had
 * to compute in (the deadline without what it slept): a fault of the node then, not of the guest.
 * Whoever judges a receipt does it by the same rule, isBelowDeadlineFloor in protocol/bill/deadline-floor.ts;
 * this folder imports no protocol, so test/sandbox/stops.test.ts holds the two equal.
 */
export function isBelowFloor(run: { fuel: bigint; epochs: number; sleptNs: bigint }): boolean {
  const computeNs = deadlineNs(run.epochs) - run.sleptNs;
  return computeNs > 0n && run.fuel * NS_PER_SECOND < FLOOR_FUEL_PER_SECOND * computeNs;
}
