// Frames as a node makes them, well-formed or not.
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { randomBytes } from 'node:crypto';
import type { NodeIdentitySchema } from '#gen/gapjunction/node/v1/enrolment_pb';
import {
  type HeartbeatRequest,
  HeartbeatRequestSchema,
  MetricsSchema,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import {
  HeartbeatKey,
  MAC_BYTES,
  macOf,
  MAX_BODY_BYTES,
  NONCE_BYTES,
} from '../../protocol/heartbeat/mac.ts';

export interface BeatContent {
  /** Unix milliseconds. */
  readonly timestampMs: number;
  readonly nonce?: Uint8Array;
  readonly metrics: MessageInitShape<typeof MetricsSchema>;
}

/** A beat with this content under the node's key. */
export function makeBeat(
  node: MessageInitShape<typeof NodeIdentitySchema>,
  { timestampMs, nonce = randomBytes(NONCE_BYTES), metrics }: BeatContent,
): HeartbeatRequest {
  const content = { slots: 2, agentVersion: 'test 1', engineVersion: 'test 1', ...metrics };
  const body = toBinary(MetricsSchema, create(MetricsSchema, content));
  return sealFrame(node, { timestampMs: BigInt(timestampMs), nonce, metrics: body });
}

/** A frame under the node's key, whatever stands in it; with a MAC of zeros where none can be made. */
export function sealFrame(
  { heartbeatKeys }: MessageInitShape<typeof NodeIdentitySchema>,
  frame: { readonly timestampMs: bigint; readonly nonce: Uint8Array; readonly metrics: Uint8Array },
): HeartbeatRequest {
  const { timestampMs, nonce, metrics: body } = frame;
  const key = new HeartbeatKey(heartbeatKeys?.nodeToControlPlane ?? new Uint8Array());
  const mac =
    nonce.length === NONCE_BYTES && body.length <= MAX_BODY_BYTES
      ? macOf(key, { timestampMs, nonce, body })
      : new Uint8Array(MAC_BYTES);
  return create(HeartbeatRequestSchema, { ...frame, mac, keyId: heartbeatKeys?.keyId ?? 0 });
}
