// What the wire shows of heartbeats: which beats were sent, tampered with, and accepted, when and on which
// stream. The checks judge by this alone, whatever the replicas believe.
import { fromBinary } from '@bufbuild/protobuf';
import {
  HeartbeatReplySchema,
  type HeartbeatRequest,
  type HeartbeatResponse,
} from '#gen/gapjunction/node/v1/heartbeat_pb';

export interface AcceptedBeat {
  readonly nodeId: string;
  readonly nonce: string;
  /** Rises with each stream that was opened, whichever replica has it. */
  readonly stream: number;
  /** Virtual Unix milliseconds. */
  readonly atMs: number;
  /** Until the next beat, as the answer grants it. */
  readonly grantedIntervalMs: number;
}

export class BeatRecord {
  readonly accepted: AcceptedBeat[] = [];
  /** `node id:nonce in base64` of beats that no replica may believe. */
  readonly tampered = new Set<string>();

  noteTampered(nodeId: string, { nonce }: HeartbeatRequest): void {
    this.tampered.add(nameOf(nodeId, nonce));
  }

  /** A replica sends a frame; an answer says that the beat of its nonce was accepted. */
  noteReply(
    nodeId: string,
    { nonce, payload }: HeartbeatResponse,
    at: { readonly stream: number; readonly atMs: number },
  ): void {
    const { kind } = fromBinary(HeartbeatReplySchema, payload);
    if (kind.case !== 'answer') return;
    const grantedIntervalMs = Number(kind.value.nextIntervalMs);
    this.accepted.push({ nodeId, nonce: nameOf(nodeId, nonce), ...at, grantedIntervalMs });
  }

  /** The node's last beat that was accepted by then; null for none. */
  lastBefore(nodeId: string, atMs: number): AcceptedBeat | null {
    const before = this.accepted.filter((beat) => beat.nodeId === nodeId && beat.atMs <= atMs);
    return before.at(-1) ?? null;
  }
}

function nameOf(nodeId: string, nonce: Uint8Array): string {
  return `${nodeId}:${Buffer.from(nonce).toString('base64')}`;
}
