/** Two clocks of one control plane that are further apart make windows and leases mean different times. */
export const MAX_CLOCK_DISTANCE_MS = 2_000;

/**
 * How far another clock is ahead of ours, behind where negative, in milliseconds: the least that explains its
 * answer `thereMs`, since it was read somewhere between our asking and the answer.
 */
export function clockAheadMs({
  askedMs,
  answeredMs,
  thereMs,
}: {
  readonly askedMs: number;
  readonly answeredMs: number;
  readonly thereMs: number;
}): number {
  if (thereMs > answeredMs) return thereMs - answeredMs;
  return thereMs < askedMs ? thereMs - askedMs : 0;
}
