// A node over the wire, enrolled as its owner would do it: for tests that need one, honest or not.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { randomBytes } from 'node:crypto';
import { EnrolmentService, type NodeIdentity } from '#gen/gapjunction/node/v1/enrolment_pb';
import {
  HeartbeatService,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type MetricsSchema,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import { HeartbeatKey } from '../../protocol/heartbeat/mac.ts';
import { judgeReply } from '../../protocol/heartbeat/reply.ts';
import { certificatePem } from '../../server/secrets/pem.ts';
import { connectAccount } from '../../stripe-simulator/visit.ts';
import { makeBeat, sealFrame } from './beat.ts';
import type { ControlPlane, Identity } from './control-plane.ts';
import { makeCsr, makeOwnerKey, type OwnerKey } from './owner.ts';

export interface TestNode extends Identity {
  readonly key: OwnerKey;
  readonly node: NodeIdentity;
}

/** Enrols a node for the account of this name, over the wire. */
export async function enrolNode(
  controlPlane: Pick<ControlPlane, 'clientFor'>,
  accountName: string,
  { replace = false } = {},
): Promise<TestNode> {
  const enrolment = controlPlane.clientFor(EnrolmentService, null);
  const key = await makeOwnerKey();
  const { connectUrl, state } = await enrolment.startEnrolment({
    publicKeySha256: key.digest,
    loopbackPort: 40_000,
  });
  const back = await connectAccount(connectUrl, { accountName });
  const { identity } = await enrolment.enrol({
    csr: await makeCsr(key),
    state,
    proof: { case: 'stripeCode', value: back.searchParams.get('code') ?? '' },
    replace,
  });
  if (identity === undefined) throw new Error('Enrol answered no identity');
  return testNode(identity, key);
}

export function testNode(node: NodeIdentity, key: OwnerKey): TestNode {
  return {
    id: node.nodeId,
    certificatePem: node.certificateChain.map(certificatePem).join(''),
    privateKeyPem: key.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    key,
    node,
  };
}

export interface BeatChange {
  /** Unix milliseconds; now unless told otherwise. */
  readonly timestampMs?: number;
  readonly nonce?: Uint8Array;
  readonly metrics?: MessageInitShape<typeof MetricsSchema>;
}

/** A node's side of one heartbeat stream, a frame at a time. */
export class BeatStream {
  readonly #node: NodeIdentity;
  readonly #frames: HeartbeatRequest[] = [];
  readonly #abort = new AbortController();
  readonly #answers: AsyncIterator<HeartbeatResponse>;
  #wake: (() => void) | null = null;
  #sequence = 0n;
  streamId: Uint8Array = new Uint8Array();

  private constructor(controlPlane: Pick<ControlPlane, 'clientFor'>, node: Omit<TestNode, 'key'>) {
    this.#node = node.node;
    const client: ReturnType<typeof createClient<typeof HeartbeatService>> = controlPlane.clientFor(
      HeartbeatService,
      node,
    );
    const answers = client.heartbeat(this.#send(), { signal: this.#abort.signal });
    this.#answers = answers[Symbol.asyncIterator]();
  }

  /** Opens a stream and reads its hello. */
  static async open(
    controlPlane: Pick<ControlPlane, 'clientFor'>,
    node: Omit<TestNode, 'key'>,
  ): Promise<BeatStream> {
    const stream = new BeatStream(controlPlane, node);
    const verdict = judgeReply(stream.#downKey(), await stream.next(), { kind: 'hello' });
    if (verdict.kind !== 'accept' || verdict.reply.kind.case !== 'hello') {
      throw new Error('opening a heartbeat stream: no hello came');
    }
    ({ streamId: stream.streamId } = verdict.reply.kind.value);
    return stream;
  }

  /** The next beat of this stream, well-formed but for the change. */
  beat({ timestampMs = Date.now(), nonce = randomBytes(16), metrics }: BeatChange = {}) {
    this.#sequence++;
    return makeBeat(this.#node, {
      timestampMs,
      nonce,
      metrics: { streamId: this.streamId, sequence: this.#sequence, ...metrics },
    });
  }

  /** A frame with this content under the node's key. */
  seal(frame: { timestampMs: bigint; nonce: Uint8Array; metrics: Uint8Array }): HeartbeatRequest {
    return sealFrame(this.#node, frame);
  }

  /** Sends a frame and answers what comes back: the kind of answer, checked as an agent does. */
  async exchange(frame: HeartbeatRequest) {
    this.push(frame);
    const response = await this.next();
    const { nonce } = frame.nonce.length === 16 ? frame : { nonce: new Uint8Array(16) };
    const verdict = judgeReply(this.#downKey(), response, { kind: 'answer', nonce });
    if (verdict.kind === 'refuse') throw new Error(`reading an answer: ${verdict.problem}`);
    return verdict.reply.kind;
  }

  push(frame: HeartbeatRequest): void {
    this.#frames.push(frame);
    this.#wake?.();
  }

  /** The next frame of the control plane. Throws when the stream ended, with its status where it failed. */
  async next(): Promise<HeartbeatResponse> {
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error('the stream has ended');
    return value;
  }

  /** Whether the stream ended, or how it failed. */
  async end(): Promise<unknown> {
    return this.next().then(
      () => 'another frame came',
      (cause: unknown) => cause,
    );
  }

  close(): void {
    this.#abort.abort();
  }

  #downKey() {
    const keys = this.#node.heartbeatKeys;
    return {
      keyId: keys?.keyId ?? 0,
      down: new HeartbeatKey(keys?.controlPlaneToNode ?? new Uint8Array()),
    };
  }

  async *#send(): AsyncIterable<HeartbeatRequest> {
    while (!this.#abort.signal.aborted) {
      const frame = this.#frames.shift();
      if (frame !== undefined) yield frame;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
