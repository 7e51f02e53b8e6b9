// A node that is too slow for the deadline must not be paid for running into it: below this speed the
// fault is the node's, and the job goes elsewhere.

/** A machine this slow is some hundred times slower than what a small server does. */
export const FLOOR_FUEL_PER_SECOND = 20_000_000n;

/** The tick in which deadlines are given. */
export const EPOCH_NS = 10_000_000n;

const NS_PER_SECOND = 1_000_000_000n;

export interface DeadlineStop {
  readonly deadlineEpochs: number;
  /** What the guest slept: it counts against the deadline, but burns nothing. */
  readonly sleptNs: bigint;
}

/** Fuel that a guest must have burnt by its deadline: 20 million per second that it did not sleep. */
export function deadlineFloorFuel({ deadlineEpochs, sleptNs }: DeadlineStop): bigint {
  const awakeNs = BigInt(deadlineEpochs) * EPOCH_NS - sleptNs;
  if (awakeNs <= 0n) return 0n;
  return (awakeNs * FLOOR_FUEL_PER_SECOND + NS_PER_SECOND - 1n) / NS_PER_SECOND;
}

/**
 * Whether DEADLINE_EXCEEDED at this fuel is the node's fault. CANCELLED and KILLED never are. The sandbox
 * ends a run by the same rule, isBelowFloor in sandbox/engine/stop.ts; test/sandbox/stops.test.ts holds the
 * two equal.
 */
export function isBelowDeadlineFloor(stop: DeadlineStop & { readonly fuel: bigint }): boolean {
  return stop.fuel < deadlineFloorFuel(stop);
}
