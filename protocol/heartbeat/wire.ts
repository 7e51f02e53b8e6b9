// A beat's messages as bytes, by hand: they are what the hot path is made of. What comes out is exactly
// what @bufbuild/protobuf reads and writes, and the tests hold the two against each other.

import { fromBinary } from '@bufbuild/protobuf';
import {
  HeartbeatRequestSchema,
  MetricsSchema,
  type Directive,
  type HeartbeatRequest,
  type Metrics,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import type { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import { CanonicalReader } from './canonical.ts';
import { MAC_BYTES, NONCE_BYTES, writeMac, type HeartbeatKey } from './mac.ts';

/** A beat as it came. */
export type Frame = Pick<HeartbeatRequest, 'timestampMs' | 'nonce' | 'metrics' | 'mac' | 'keyId'>;

/** What a beat says. */
export type BeatMetrics = Omit<Metrics, '$typeName' | '$unknown'>;

/** Field number and wire type in one byte. */
const varintTag = (field: number): number => field << 3;
const lengthTag = (field: number): number => (field << 3) | 2;

/** Beyond it an enum's value is negative, and has ten bytes. */
const MAX_ENUM = 0x7fff_ffff;

/** Throws where the bytes are no HeartbeatRequest. */
export function readFrame(bytes: Uint8Array): Frame {
  const reader = new CanonicalReader(bytes);
  const frame = {
    timestampMs: reader.uint64(varintTag(1)),
    nonce: reader.bytes(lengthTag(2)),
    metrics: reader.bytes(lengthTag(3)),
    mac: reader.bytes(lengthTag(4)),
    keyId: reader.uint32(varintTag(5)),
  };
  return reader.isWhole ? frame : fromBinary(HeartbeatRequestSchema, bytes);
}

/** Throws where the bytes are no Metrics. */
export function readMetrics(bytes: Uint8Array): BeatMetrics {
  const reader = new CanonicalReader(bytes);
  const metrics = {
    streamId: reader.bytes(lengthTag(1)),
    sequence: reader.uint64(varintTag(2)),
    renewalCounter: reader.uint64(varintTag(3)),
    slots: reader.uint32(varintTag(4)),
    attemptIds: reader.texts(lengthTag(5)),
    fuelSinceStart: reader.uint64(varintTag(6)),
    residentMemoryBytes: reader.uint64(varintTag(7)),
    cpuPermille: reader.uint32(varintTag(8)),
    agentVersion: reader.text(lengthTag(9)),
    engineVersion: reader.text(lengthTag(10)),
    isolationLevel: reader.uint32(varintTag(11)) as IsolationLevel,
  };
  return reader.isWhole && metrics.isolationLevel <= MAX_ENUM
    ? metrics
    : fromBinary(MetricsSchema, bytes, { readUnknownFields: false });
}

/** A HeartbeatReply with an Answer of fewer than 100 directives. Its times are whole numbers from 0. */
export function answerBytes({
  nextIntervalMs,
  lostAfterMs,
  directives,
}: {
  readonly nextIntervalMs: number;
  readonly lostAfterMs: number;
  readonly directives: readonly Directive[];
}): Uint8Array {
  const answer: number[] = [];
  if (nextIntervalMs > 0) {
    answer.push(varintTag(1));
    pushVarint(answer, nextIntervalMs);
  }
  if (directives.length > 0) answer.push(lengthTag(2), directives.length, ...directives);
  if (lostAfterMs > 0) {
    answer.push(varintTag(3));
    pushVarint(answer, lostAfterMs);
  }
  return Uint8Array.of(lengthTag(2), answer.length, ...answer);
}

/** A HeartbeatResponse's fields beside the payload and the two of fixed length, at their longest. */
const MAX_OTHER_BYTES = 30;

/** A HeartbeatResponse of our key, with its MAC. `timestampMs` is a whole number above 0. */
export function sealedBytes(
  { keyId, down }: { readonly keyId: number; readonly down: HeartbeatKey },
  payload: Uint8Array,
  { timestampMs, nonce }: { readonly timestampMs: number; readonly nonce: Uint8Array },
): Uint8Array {
  const frame = Buffer.allocUnsafe(MAX_OTHER_BYTES + NONCE_BYTES + payload.length + MAC_BYTES);
  frame[0] = varintTag(1);
  let at = writeVarint(frame, 1, timestampMs);
  frame[at++] = lengthTag(2);
  frame[at++] = NONCE_BYTES;
  frame.set(nonce, at);
  at += NONCE_BYTES;
  if (payload.length > 0) {
    frame[at++] = lengthTag(3);
    at = writeVarint(frame, at, payload.length);
    frame.set(payload, at);
    at += payload.length;
  }
  frame[at++] = lengthTag(4);
  frame[at++] = MAC_BYTES;
  const input = { timestampMs: BigInt(timestampMs), nonce, body: payload };
  writeMac(down, input, frame, at);
  at += MAC_BYTES;
  if (keyId > 0) {
    frame[at++] = varintTag(5);
    at = writeVarint(frame, at, keyId);
  }
  return frame.subarray(0, at);
}

/** Answers where it ends. */
function writeVarint(target: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    target[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  target[at++] = rest;
  return at;
}

function pushVarint(target: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    target.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  target.push(rest);
}
