// The bounds of what a beat says, judged by hand on the hot path: its sender holds a key, and still may be
// broken or hostile.

import type { BeatMetrics } from '../../protocol/heartbeat/wire.ts';

/** What an accepted beat says of its node. */
export interface Beat {
  readonly atMs: number;
  readonly grantedIntervalMs: number;
  readonly slots: number;
  readonly attemptIds: readonly string[];
  readonly agentVersion: string;
  readonly engineVersion: string;
  readonly residentMemoryBytes: bigint;
  readonly fuelSinceStart: bigint;
}

/** More than any machine runs at once; SlotOffer has the same bound. */
export const MAX_SLOTS = 1_024;
/** 60 ids fill half of a beat's 4 KiB; the size of the frame bounds the rest. */
const MAX_ATTEMPT_ID_CHARACTERS = 64;
const MAX_VERSION_CHARACTERS = 64;
/** What the database holds. At a thousand million a second, 292 years of fuel. */
const MAX_COUNTER = 2n ** 63n - 1n;

/** Null when a value is out of its bounds. */
export function beatOf(
  metrics: BeatMetrics,
  { atMs, grantedIntervalMs }: { readonly atMs: number; readonly grantedIntervalMs: number },
): Beat | null {
  const { slots, attemptIds, agentVersion, engineVersion } = metrics;
  const { residentMemoryBytes, fuelSinceStart } = metrics;
  if (
    slots > MAX_SLOTS ||
    residentMemoryBytes > MAX_COUNTER ||
    fuelSinceStart > MAX_COUNTER ||
    !isVersion(agentVersion) ||
    !isVersion(engineVersion) ||
    !attemptIds.every((id) => id.length <= MAX_ATTEMPT_ID_CHARACTERS)
  ) {
    return null;
  }
  return {
    atMs,
    grantedIntervalMs,
    slots,
    attemptIds,
    agentVersion,
    engineVersion,
    residentMemoryBytes,
    fuelSinceStart,
  };
}

/** Printable ASCII: it goes into the database, logs and an operator's terminal. */
function isVersion(text: string): boolean {
  return text.length <= MAX_VERSION_CHARACTERS && /^[\x20-\x7e]*$/.test(text);
}
