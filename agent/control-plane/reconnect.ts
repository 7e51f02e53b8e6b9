// When and where an agent connects again: a pure state machine. The first try after a loss goes to
// another address at once, later ones wait with full jitter.
import { reconnectDelayMs } from '../../protocol/heartbeat/jitter.ts';

export type LinkState =
  /** Opening streams at an address. */
  | {
      readonly kind: 'connecting';
      readonly addressIndex: number;
      readonly failedAttempts: number;
      /** When the link was lost, or first wanted; Unix milliseconds. */
      readonly sinceMs: number;
    }
  /** A beat was accepted on this link. */
  | { readonly kind: 'up'; readonly addressIndex: number }
  | {
      readonly kind: 'waiting';
      /** Where the next attempt goes. */
      readonly addressIndex: number;
      readonly failedAttempts: number;
      readonly sinceMs: number;
      readonly delayMs: number;
    };

/** The first attempt of an agent. */
export function firstAttempt(now: number): LinkState {
  return { kind: 'connecting', addressIndex: 0, failedAttempts: 0, sinceMs: now };
}

/** A beat was accepted: from here on a loss counts anew. */
export function accepted(state: LinkState): LinkState {
  return { kind: 'up', addressIndex: state.addressIndex };
}

/** The wait is over. */
export function waited(state: LinkState): LinkState {
  if (state.kind !== 'waiting') return state;
  const { addressIndex, failedAttempts, sinceMs } = state;
  return { kind: 'connecting', addressIndex, failedAttempts, sinceMs };
}

/**
 * The link failed, or could not be opened. `random` answers a fraction in [0, 1). An agent that was up
 * tries at once; one that failed to open waits, the longer the more often it failed.
 */
export function lost(
  state: LinkState,
  {
    now,
    addressCount,
    leaseHeld,
    random,
  }: {
    readonly now: number;
    readonly addressCount: number;
    readonly leaseHeld: boolean;
    readonly random: () => number;
  },
): LinkState {
  const fresh = state.kind === 'up';
  const failedAttempts = fresh ? 0 : state.failedAttempts + 1;
  const sinceMs = fresh ? now : state.sinceMs;
  return {
    kind: 'waiting',
    addressIndex: (state.addressIndex + 1) % addressCount,
    failedAttempts,
    sinceMs,
    delayMs: reconnectDelayMs({ failedAttempts, leaseHeld, sinceLossMs: now - sinceMs }, random),
  };
}
