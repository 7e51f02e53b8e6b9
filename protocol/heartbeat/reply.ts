// The control plane's frames, made there and judged at the node. The node applies no time window: its own
// clock may be what is wrong, and a refusal must reach it to say so.

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  HeartbeatReplySchema,
  HeartbeatResponseSchema,
  type HeartbeatReply,
  type HeartbeatResponse,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import { STREAM_ID_BYTES } from './acceptance.ts';
import {
  MAC_BYTES,
  macOf,
  MAX_BODY_BYTES,
  NONCE_BYTES,
  verifyMac,
  type HeartbeatKey,
} from './mac.ts';

/** The key that the control plane's frames are under. */
export interface DownKey {
  readonly keyId: number;
  readonly down: HeartbeatKey;
}

/** A frame with this reply. The nonce is random in a hello, the beat's own in an answer or refusal. */
export function sealReply(
  key: DownKey,
  reply: HeartbeatReply,
  { timestampMs, nonce }: { readonly timestampMs: bigint; readonly nonce: Uint8Array },
): HeartbeatResponse {
  const payload = toBinary(HeartbeatReplySchema, reply);
  const mac = macOf(key.down, { timestampMs, nonce, body: payload });
  return create(HeartbeatResponseSchema, { timestampMs, nonce, payload, mac, keyId: key.keyId });
}

/**
 * The nonce of the reply to a beat: the beat's own; zeros for a beat whose nonce has no 16 bytes, which
 * no agent of ours sends.
 */
export function replyNonce(beatNonce: Uint8Array): Uint8Array {
  return beatNonce.length === NONCE_BYTES ? beatNonce : new Uint8Array(NONCE_BYTES);
}

export type ReplyVerdict =
  | { readonly kind: 'accept'; readonly reply: HeartbeatReply }
  | { readonly kind: 'refuse'; readonly problem: string };

/**
 * Judges a frame of the control plane: lengths, MAC, kind, nonce. `expected` is what the node waits for:
 * the hello, or what answers the beat with that nonce. Never throws on any frame.
 */
export function judgeReply(
  key: DownKey,
  frame: HeartbeatResponse,
  expected: { readonly kind: 'hello' } | { readonly kind: 'answer'; readonly nonce: Uint8Array },
): ReplyVerdict {
  if (
    frame.nonce.length !== NONCE_BYTES ||
    frame.mac.length !== MAC_BYTES ||
    frame.payload.length > MAX_BODY_BYTES
  ) {
    return refuse('a field has the wrong length');
  }
  const { timestampMs, nonce, payload: body } = frame;
  if (frame.keyId !== key.keyId || !verifyMac(key.down, { timestampMs, nonce, body }, frame.mac)) {
    return refuse('the MAC does not verify');
  }
  const reply = decodeReply(body);
  if (reply === null) return refuse('the payload is no reply');
  const { kind } = reply;
  if (expected.kind === 'hello') {
    if (kind.case !== 'hello')
      return refuse(`a ${kind.case ?? 'reply of no kind'} came before the hello`);
    if (kind.value.streamId.length !== STREAM_ID_BYTES)
      return refuse('the stream id has the wrong length');
    return { kind: 'accept', reply };
  }
  if (kind.case !== 'answer' && kind.case !== 'refusal') {
    return refuse(`a ${kind.case ?? 'reply of no kind'} came instead of an answer`);
  }
  if (Buffer.compare(nonce, expected.nonce) !== 0)
    return refuse('the nonce is not the one of the beat');
  return { kind: 'accept', reply };
}

function decodeReply(payload: Uint8Array): HeartbeatReply | null {
  try {
    return fromBinary(HeartbeatReplySchema, payload, { readUnknownFields: false });
  } catch {
    return null;
  }
}

function refuse(problem: string): ReplyVerdict {
  return { kind: 'refuse', problem };
}
