// HMAC-SHA256 over `timestamp in ms (8 bytes, big-endian) || nonce (16 bytes) || body`, the body being
// the bytes of the serialized message exactly as they stand in the frame.
//
// This is the hot path: 2,000 beats a second, two MACs each. So HMAC is spelled out as in RFC 2104, two
// hashes over the key's two pads, each in one call on a buffer that lives as long as the process (no call
// here waits, so nobody else writes into it meanwhile), and digests come out as Latin-1 text, a character
// a byte: 1.0 us in all. `createHmac` takes 3.1 us, half of it for the Buffer of its answer.

import { hash, timingSafeEqual } from 'node:crypto';

export const HEARTBEAT_KEY_BYTES = 32;
export const NONCE_BYTES = 16;
export const MAC_BYTES = 32;

/** Metrics with 60 attempts have 2 KiB; twice that, so that a frame never makes anybody allocate much. */
export const MAX_BODY_BYTES = 4_096;

/** Of SHA-256. */
const BLOCK_BYTES = 64;
const HEADER_BYTES = 8 + NONCE_BYTES;
const BODY_AT = BLOCK_BYTES + HEADER_BYTES;

const inner = Buffer.alloc(BODY_AT + MAX_BODY_BYTES);
const innerView = new DataView(inner.buffer, inner.byteOffset);
const outer = Buffer.alloc(BLOCK_BYTES + MAC_BYTES);
const computed = Buffer.alloc(MAC_BYTES);

export interface MacInput {
  /** Unix time in milliseconds, unsigned 64 bits. */
  readonly timestampMs: bigint;
  /** 16 bytes. */
  readonly nonce: Uint8Array;
  /** At most MAX_BODY_BYTES. */
  readonly body: Uint8Array;
}

/** A key in the form that MACs are fastest with: RFC 2104's K XOR ipad and K XOR opad. */
export class HeartbeatKey {
  // Private, so that no log shows them.
  readonly #innerPad: Uint8Array;
  readonly #outerPad: Uint8Array;

  /** Throws a RangeError unless the key has 32 bytes. */
  constructor(key: Uint8Array) {
    if (key.length !== HEARTBEAT_KEY_BYTES) {
      throw new RangeError(
        `A heartbeat key has ${HEARTBEAT_KEY_BYTES} bytes, this one has ${key.length}`,
      );
    }
    const pad = (byte: number) =>
      Uint8Array.from({ length: BLOCK_BYTES }, (_, at) => byte ^ (key[at] ?? 0));
    this.#innerPad = pad(0x36);
    this.#outerPad = pad(0x5c);
  }

  /** The MAC, a character a byte. Throws a RangeError when a part has not its length. */
  macText({ timestampMs, nonce, body }: MacInput): string {
    if (nonce.length !== NONCE_BYTES) {
      throw new RangeError(`The nonce has ${nonce.length} bytes, not ${NONCE_BYTES}`);
    }
    if (body.length > MAX_BODY_BYTES) {
      throw new RangeError(`The body has ${body.length} bytes, more than ${MAX_BODY_BYTES}`);
    }
    inner.set(this.#innerPad, 0);
    innerView.setBigUint64(BLOCK_BYTES, timestampMs);
    inner.set(nonce, BLOCK_BYTES + 8);
    inner.set(body, BODY_AT);
    const digest = hash('sha256', inner.subarray(0, BODY_AT + body.length), 'latin1');
    outer.set(this.#outerPad, 0);
    outer.write(digest, BLOCK_BYTES, 'latin1');
    return hash('sha256', outer, 'latin1');
  }
}

/** The 32 bytes of a frame's MAC. Throws a RangeError when a part has not its length. */
export function macOf(key: HeartbeatKey, input: MacInput): Buffer {
  return Buffer.from(key.macText(input), 'latin1');
}

/** Writes the MAC at `at` of `target`. Throws a RangeError when a part has not its length. */
export function writeMac(key: HeartbeatKey, input: MacInput, target: Buffer, at: number): void {
  target.write(key.macText(input), at, 'latin1');
}

/** Whether the MAC is the frame's, compared in constant time. A MAC of another length is none. */
export function verifyMac(key: HeartbeatKey, input: MacInput, mac: Uint8Array): boolean {
  if (mac.length !== MAC_BYTES) return false;
  writeMac(key, input, computed, 0);
  return timingSafeEqual(computed, mac);
}
