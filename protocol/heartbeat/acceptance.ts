// Whether a beat is accepted: a pure decision, in one order, so that a frame which fails a check never
// reaches a later one, and above all never the nonce store:
//
//   1. certificate and standing, which the caller judges for every frame;
//   2. lengths, before anything is computed;
//   3. the MAC, in constant time, before anything is read;
//   4. the clock, within the window, so that nonces need not be kept for ever;
//   5. stream and sequence, so that no frame is taken twice even if the nonce store forgot;
//   6. the nonce, claimed by the caller when this says `accept`: only then has it an effect.

import { RefusalReason } from '#gen/gapjunction/node/v1/heartbeat_pb';
import { MAC_BYTES, MAX_BODY_BYTES, NONCE_BYTES, verifyMac, type HeartbeatKey } from './mac.ts';
import { readMetrics, type BeatMetrics, type Frame } from './wire.ts';

export const STREAM_ID_BYTES = 16;

/** The specification's window: a frame further from the control plane's clock is refused. */
export const CLOCK_WINDOW_MS = 60_000n;

/**
 * How long a nonce is kept: a frame may be a window ahead when it is first seen, and stays within the
 * window for two; the rest is for the nonce store's own clock.
 */
export const NONCE_CLAIM_MS = 125_000;

/** What the control plane knows of one stream before the beat. */
export interface StreamState {
  /** The certificate is valid now, it and the node are not revoked. */
  readonly allowed: boolean;
  /** 16 bytes, from this stream's hello. */
  readonly streamId: Uint8Array;
  /** 1 before the first beat. */
  readonly nextSequence: bigint;
}

/** The key that the node's frames must be under. */
export interface UpKey {
  readonly keyId: number;
  readonly up: HeartbeatKey;
}

export type BeatVerdict =
  | { readonly kind: 'accept'; readonly metrics: BeatMetrics }
  | {
      readonly kind: 'refuse';
      readonly reason: RefusalReason;
      /** The control plane's time minus the beat's, for CLOCK_OUT_OF_WINDOW; otherwise 0. */
      readonly clockOffsetMs: bigint;
    };

/**
 * Judges one beat at `nowMs` (Unix milliseconds at the control plane). On `accept` the caller claims the
 * nonce, and raises `nextSequence` by one when the claim was granted. Never throws on any frame.
 */
export function judgeBeat(
  state: StreamState,
  frame: Frame,
  {
    nowMs,
    key,
    windowMs = CLOCK_WINDOW_MS,
  }: {
    readonly nowMs: bigint;
    readonly key: UpKey;
    readonly windowMs?: bigint;
  },
): BeatVerdict {
  if (!state.allowed) return refuse(RefusalReason.NOT_ALLOWED);
  if (
    frame.nonce.length !== NONCE_BYTES ||
    frame.mac.length !== MAC_BYTES ||
    frame.metrics.length > MAX_BODY_BYTES
  ) {
    return refuse(RefusalReason.MALFORMED);
  }
  const { timestampMs, nonce, metrics: body } = frame;
  if (frame.keyId !== key.keyId || !verifyMac(key.up, { timestampMs, nonce, body }, frame.mac)) {
    return refuse(RefusalReason.BAD_MAC);
  }
  const clockOffsetMs = nowMs - timestampMs;
  if (clockOffsetMs > windowMs || clockOffsetMs < -windowMs) {
    // The reply's field is a signed 64-bit number, the frame's an unsigned one.
    return refuse(RefusalReason.CLOCK_OUT_OF_WINDOW, BigInt.asIntN(64, clockOffsetMs));
  }
  const metrics = decodeMetrics(body);
  if (metrics === null) return refuse(RefusalReason.MALFORMED);
  if (!isStream(metrics.streamId, state.streamId)) return refuse(RefusalReason.WRONG_STREAM);
  if (metrics.sequence !== state.nextSequence) return refuse(RefusalReason.WRONG_SEQUENCE);
  return { kind: 'accept', metrics };
}

function refuse(reason: RefusalReason, clockOffsetMs = 0n): BeatVerdict {
  return { kind: 'refuse', reason, clockOffsetMs };
}

function decodeMetrics(body: Uint8Array): BeatMetrics | null {
  try {
    return readMetrics(body);
  } catch {
    return null;
  }
}

function isStream(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== STREAM_ID_BYTES) return false;
  for (let index = 0; index < STREAM_ID_BYTES; index++) {
    if (left[index] !== right[index]) return false;
  }
  return true;
}
