// When the next beat and the next attempt to connect happen: spread out, so that a fleet never moves in
// step. `random` answers a number from 0 to below 1.

/** The specification's base interval. */
export const BASE_INTERVAL_MS = 15_000;

/** The specification's range: ten percent to either side. */
const JITTER_RANGE = 0.1;

/** What one control plane takes; a larger fleet beats less often. */
export const BEATS_PER_SECOND_BUDGET = 2_000;

/** The base, stretched when the fleet is larger than the budget allows for: nodes / beats per second. */
export function baseIntervalMs({
  nodes,
  beatsPerSecondBudget = BEATS_PER_SECOND_BUDGET,
}: {
  readonly nodes: number;
  readonly beatsPerSecondBudget?: number;
}): number {
  if (!(nodes >= 0) || !(beatsPerSecondBudget > 0)) {
    throw new RangeError(
      `A fleet of ${nodes} nodes at ${beatsPerSecondBudget} beats per second has no interval`,
    );
  }
  return Math.max(BASE_INTERVAL_MS, Math.ceil((nodes * 1_000) / beatsPerSecondBudget));
}

/** Whole milliseconds until the next beat: the base, plus or minus up to ten percent, uniform. */
export function nextIntervalMs(baseMs: number, random: () => number): number {
  return Math.round(baseMs + (random() * 2 - 1) * JITTER_RANGE * baseMs);
}

const BACKOFF_FIRST_MS = 1_000;

/** A node that holds work, or lost its stream just now, must be back before its lease ends. */
const BACKOFF_CAP_URGENT_MS = 5_000;

/** Afterwards it only has to be back at all. */
const BACKOFF_CAP_IDLE_MS = 60_000;

const URGENT_AFTER_LOSS_MS = 120_000;

/**
 * Milliseconds to wait before the next attempt to connect. The first after a loss goes out at once, to
 * another address where there is one; then exponential from 1 s with full jitter, capped at 5 s while a
 * lease is held and for the first 2 minutes after the loss, at 60 s afterwards.
 */
export function reconnectDelayMs(
  {
    failedAttempts,
    leaseHeld,
    sinceLossMs,
  }: {
    /** Attempts that failed since the loss; 0 before the first. */
    readonly failedAttempts: number;
    readonly leaseHeld: boolean;
    readonly sinceLossMs: number;
  },
  random: () => number,
): number {
  if (failedAttempts <= 0) return 0;
  const urgent = leaseHeld || sinceLossMs < URGENT_AFTER_LOSS_MS;
  const capMs = urgent ? BACKOFF_CAP_URGENT_MS : BACKOFF_CAP_IDLE_MS;
  return Math.floor(random() * Math.min(capMs, BACKOFF_FIRST_MS * 2 ** (failedAttempts - 1)));
}
