// When and where an agent connects again: a pure state machine. After a loss it goes round the addresses at
// once, each tried for a moment; only when none of them took it does it wait, with full jitter, before the
// next round.
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
  | {
      readonly kind: 'up';
      readonly addressIndex: number;
      /** Unix milliseconds. */
      readonly upSinceMs: number;
      /** As they stood when the beat was accepted. */
      readonly failedAttempts: number;
      readonly sinceMs: number;
    }
  | {
      readonly kind: 'waiting';
      /** Where the next attempt goes. */
      readonly addressIndex: number;
      readonly failedAttempts: number;
      readonly sinceMs: number;
      readonly delayMs: number;
    };

/**
 * A link that was up for less did not work: a replica that takes a beat and then ends the streams must not
 * be asked again and again without a pause.
 */
const STEADY_MS = 5_000;

/** TCP and TLS together, where there is nobody else to ask. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Round trips take below 300 ms anywhere: a silent address costs no more than this in the first round. */
const FIRST_HANDSHAKE_TIMEOUT_MS = 2_000;

/** The first attempt of an agent. */
export function firstAttempt(now: number): LinkState {
  return { kind: 'connecting', addressIndex: 0, failedAttempts: 0, sinceMs: now };
}

/** A beat was accepted at `now` (Unix milliseconds). */
export function accepted(state: LinkState, now: number): LinkState {
  const { addressIndex, failedAttempts, sinceMs } = state;
  return { kind: 'up', addressIndex, upSinceMs: now, failedAttempts, sinceMs };
}

/** The wait is over. */
export function waited(state: LinkState): LinkState {
  if (state.kind !== 'waiting') return state;
  const { addressIndex, failedAttempts, sinceMs } = state;
  return { kind: 'connecting', addressIndex, failedAttempts, sinceMs };
}

/**
 * The link failed, or could not be opened. `random` answers a fraction in [0, 1). The next address is tried
 * at once until all of them failed; then the agent waits, the longer the more rounds failed.
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
  const fresh = state.kind === 'up' && now - state.upSinceMs >= STEADY_MS;
  const failedAttempts = fresh ? 0 : state.failedAttempts + 1;
  const sinceMs = fresh ? now : state.sinceMs;
  const delay = {
    failedAttempts: roundsOf(failedAttempts, addressCount),
    leaseHeld,
    sinceLossMs: now - sinceMs,
  };
  return {
    kind: 'waiting',
    addressIndex: (state.addressIndex + 1) % addressCount,
    failedAttempts,
    sinceMs,
    delayMs: failedAttempts % addressCount === 0 ? reconnectDelayMs(delay, random) : 0,
  };
}

/**
 * How long an attempt may take to get a TLS session, in milliseconds: short while others have not been
 * asked, and longer in each further round, since the network itself may be slow.
 */
export function handshakeTimeoutMs(
  { failedAttempts }: Pick<LinkState, 'failedAttempts'>,
  addressCount: number,
): number {
  if (addressCount === 1) return HANDSHAKE_TIMEOUT_MS;
  const grownMs = FIRST_HANDSHAKE_TIMEOUT_MS * 2 ** roundsOf(failedAttempts, addressCount);
  return Math.min(HANDSHAKE_TIMEOUT_MS, grownMs);
}

/** Rounds over all addresses that failed. */
function roundsOf(failedAttempts: number, addressCount: number): number {
  return Math.floor(failedAttempts / addressCount);
}
