// The node's side of a heartbeat stream: reads the hello, then sends a beat and waits for its answer, again
// and again, in the rhythm that the control plane asks for.
import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';

import {
  HeartbeatService,
  MetricsSchema,
  RefusalReason,
  type Answer,
  type Directive,
  type HeartbeatReply,
  type HeartbeatRequest,
  type HeartbeatRequestSchema,
  type HeartbeatResponse,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import { macOf, NONCE_BYTES } from '../../protocol/heartbeat/mac.ts';
import { judgeReply } from '../../protocol/heartbeat/reply.ts';
import { pause, type Clock, type RandomBytes } from '../clock.ts';
import type { NodeIdentity } from '../identity/identity.ts';
import type { Connection } from './connection.ts';
import { failureText, isLeaving, isNotAllowed, isUnheard } from './rpc-failure.ts';
import { SendQueue } from './send-queue.ts';

/** What a beat tells beside its place in the stream. */
export type BeatContent = Omit<
  MessageInitShape<typeof MetricsSchema>,
  '$typeName' | '$unknown' | 'streamId' | 'sequence' | 'renewalCounter'
>;

export type BeatsEnd =
  /** The stream failed or went silent; connect again. */
  | { readonly kind: 'lost'; readonly cause: string }
  /** The replica accepts no beat for now, and may soon; all else goes on. */
  | { readonly kind: 'unheard'; readonly cause: string }
  /** The replica stops; calls that run on the connection may still finish. */
  | { readonly kind: 'leaving'; readonly cause: string }
  /** A frame that cannot come from our control plane. */
  | { readonly kind: 'forged'; readonly problem: string }
  | {
      readonly kind: 'refused';
      readonly reason: RefusalReason;
      /** Control plane's time minus ours. */
      readonly clockOffsetMs: number;
    }
  /** The certificate is not accepted (any more). */
  | { readonly kind: 'not-allowed'; readonly cause: string };

/** A control plane that takes longer for a hello or an answer counts as lost. */
const ANSWER_TIMEOUT_MS = 10_000;
/** The control plane stretches 15 s for a large fleet; an hour would be no heartbeat. */
const MAX_INTERVAL_MS = 3_600_000;
/** A node is lost so many intervals after a beat, where its answer does not say. */
const LOST_INTERVALS = 4;
/** The most that a control plane can be set to. */
const MAX_LOST_INTERVALS = 100;

/** What the answer to an accepted beat says. */
export interface Accepted {
  /** Until the next beat. */
  readonly intervalMs: number;
  /** Without another accepted beat the node's leases end so long after this one. At least the interval. */
  readonly lostAfterMs: number;
  readonly directives: readonly Directive[];
}

export interface BeatsOptions {
  readonly connection: Connection;
  readonly identity: NodeIdentity;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  /** Ends the stream. */
  readonly signal: AbortSignal;
  readonly content: () => BeatContent;
  /** Each beat waits for it: whoever holds it back may be about to beat on a newer stream. */
  readonly beforeBeat: () => Promise<void>;
  readonly onAccepted: (accepted: Accepted) => void;
}

/** Beats until the stream ends, and says why. Never rejects. */
export async function beat(options: BeatsOptions): Promise<BeatsEnd> {
  const { connection, identity, clock } = options;
  const ending = new AbortController();
  const signal = AbortSignal.any([options.signal, ending.signal]);
  const queue = new SendQueue<HeartbeatRequest | MessageInitShape<typeof HeartbeatRequestSchema>>();
  const responses = connection.client(HeartbeatService).heartbeat(queue, { signal });
  const frames = responses[Symbol.asyncIterator]();
  try {
    return await converse(options, {
      frames,
      send: (request) => queue.put(request),
      wait: (delayMs) => pause(clock, delayMs, signal),
    });
  } catch (error) {
    if (isNotAllowed(error)) return { kind: 'not-allowed', cause: failureText(error) };
    return { kind: kindOf(error), cause: failureText(error) };
  } finally {
    queue.end();
    ending.abort(new Error(`The heartbeats of '${identity.nodeId}' end`));
  }
}

function kindOf(error: unknown): 'leaving' | 'unheard' | 'lost' {
  if (isLeaving(error)) return 'leaving';
  return isUnheard(error) ? 'unheard' : 'lost';
}

interface Stream {
  readonly frames: AsyncIterator<HeartbeatResponse>;
  readonly send: (request: MessageInitShape<typeof HeartbeatRequestSchema>) => void;
  readonly wait: (delayMs: number) => Promise<void>;
}

async function converse(options: BeatsOptions, stream: Stream): Promise<BeatsEnd> {
  const { identity, clock, randomBytes, content, beforeBeat, onAccepted } = options;
  const { heartbeat, record } = identity;
  let next = stream.frames.next();
  const first = await within(next, ANSWER_TIMEOUT_MS, clock);
  if (first === null) return { kind: 'lost', cause: 'no hello came' };
  if (first.done === true) return { kind: 'lost', cause: 'the stream ended before the hello' };
  const hello = judgeReply(heartbeat, first.value, { kind: 'hello' });
  if (hello.kind === 'refuse') return { kind: 'forged', problem: hello.problem };
  if (hello.reply.kind.case !== 'hello') return refused(hello.reply);
  const { streamId } = hello.reply.kind.value;
  for (let sequence = 1n; ; sequence++) {
    next = stream.frames.next();
    await beforeBeat();
    const metrics = toBinary(
      MetricsSchema,
      create(MetricsSchema, {
        ...content(),
        streamId,
        sequence,
        renewalCounter: BigInt(record.renewalCounter),
      }),
    );
    const nonce = randomBytes(NONCE_BYTES);
    const timestampMs = BigInt(clock.now());
    const mac = macOf(heartbeat.up, { timestampMs, nonce, body: metrics });
    stream.send({ timestampMs, nonce, metrics, mac, keyId: heartbeat.keyId });
    const frame = await within(next, ANSWER_TIMEOUT_MS, clock);
    if (frame === null) return { kind: 'lost', cause: 'a beat was not answered' };
    if (frame.done === true) return { kind: 'lost', cause: 'the stream ended' };
    const verdict = judgeReply(heartbeat, frame.value, { kind: 'answer', nonce });
    if (verdict.kind === 'refuse') return { kind: 'forged', problem: verdict.problem };
    if (verdict.reply.kind.case !== 'answer') return refused(verdict.reply);
    const accepted = readAnswer(verdict.reply.kind.value);
    if (typeof accepted === 'string') return { kind: 'forged', problem: accepted };
    onAccepted(accepted);
    await stream.wait(accepted.intervalMs);
  }
}

/** Answers what is wrong with it, where something is. */
function readAnswer({ nextIntervalMs, lostAfterMs, directives }: Answer): Accepted | string {
  const intervalMs = Number(nextIntervalMs);
  if (!(intervalMs >= 1 && intervalMs <= MAX_INTERVAL_MS)) {
    return `the next interval is ${intervalMs} ms`;
  }
  const lostMs = lostAfterMs === 0n ? LOST_INTERVALS * intervalMs : Number(lostAfterMs);
  if (!(lostMs >= intervalMs && lostMs <= MAX_LOST_INTERVALS * intervalMs)) {
    return `the node is lost after ${lostMs} ms, with a beat each ${intervalMs} ms`;
  }
  return { intervalMs, lostAfterMs: lostMs, directives };
}

function refused({ kind }: HeartbeatReply): BeatsEnd {
  if (kind.case !== 'refusal') return { kind: 'forged', problem: 'a reply of another kind' };
  const { reason, clockOffsetMs } = kind.value;
  return { kind: 'refused', reason, clockOffsetMs: Number(clockOffsetMs) };
}

/** Null when it took longer. */
async function within<T>(promise: Promise<T>, timeoutMs: number, clock: Clock): Promise<T | null> {
  let cancel = (): void => {};
  const late = new Promise<null>((resolve) => {
    cancel = clock.after(timeoutMs, () => resolve(null));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}
