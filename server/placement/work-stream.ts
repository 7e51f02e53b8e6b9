import type { MessageInitShape } from '@bufbuild/protobuf';
import type { WorkResponseSchema } from '#gen/gapjunction/node/v1/dispatch_pb';
import { RpcError } from '../rpc/error.ts';
import { NO_TRAITS, type NodeTraits } from './assignment.ts';
import { freeSlots, NO_SLOTS, offer, sent, settled, type Slots } from './slots.ts';

export type WorkMessage = MessageInitShape<typeof WorkResponseSchema>;

/** Who is at the other end, as its connection proved it. */
export interface WorkNode {
  readonly nodeId: string;
  readonly keyId: Uint8Array;
  readonly chainDigest: Uint8Array;
}

/** How far guests are is kept of so many attempts: no node offers more slots. */
const MAX_PROGRESSES = 1_024;

/**
 * Waits for a node at most: an order for each of its slots, and a cancel for each. A node that makes up
 * attempts and does not read that it is to stop them would fill the memory.
 */
export const MAX_UNSENT = 2_048;

/** One node's open Work stream: what it offers, and what is on its way to it. */
export class WorkStream {
  readonly node: WorkNode;
  #traits: NodeTraits | null = null;
  /** Operators are yet to see what the node said of itself. */
  isIntroductionUnwritten = false;
  #slots: Slots = NO_SLOTS;
  #queue: WorkMessage[] = [];
  /** Attempts whose cancel is in the queue. */
  readonly #cancels = new Set<string>();
  #wake: (() => void) | null = null;
  #end: { readonly cause: unknown } | null = null;
  /** Signatures of orders that are not acknowledged, by attempt: stored with the acknowledgement. */
  readonly #signatures = new Map<string, Uint8Array>();
  /** Attempts whose acknowledgement came on this stream and is being written. */
  readonly acknowledging = new Set<string>();
  /** What guests have burnt, by attempt, as the node said since it was taken last. */
  #progress = new Map<string, bigint>();
  /** Of all streams of the node, the highest is the newest; null until it is known. */
  number: number | null = null;

  constructor(node: WorkNode) {
    this.node = node;
  }

  get freeSlots(): number {
    return this.#end === null ? freeSlots(this.#slots) : 0;
  }

  /** What the node said of itself on this stream. */
  get traits(): NodeTraits {
    return this.#traits ?? NO_TRAITS;
  }

  /** False where the node introduced itself before: what it says first stays, as long as the stream does. */
  introduce(traits: NodeTraits): boolean {
    if (this.#traits !== null) return false;
    this.#traits = traits;
    this.isIntroductionUnwritten = true;
    return true;
  }

  offer(slots: number): void {
    this.#slots = offer(this.#slots, slots);
  }

  /** Takes a slot for an order that is being made. */
  take(attemptId: string): void {
    this.#slots = sent(this.#slots, attemptId);
  }

  sendOrder(attemptId: string, signature: Uint8Array, message: WorkMessage): void {
    this.#signatures.set(attemptId, signature);
    this.send(message);
  }

  /** The attempts whose orders are on their way, or were lost there. */
  get unacknowledged(): readonly string[] {
    return [...this.#slots.unacknowledged];
  }

  get hasEnded(): boolean {
    return this.#end !== null;
  }

  progress(attemptId: string, fuel: bigint): void {
    if (this.#progress.size < MAX_PROGRESSES || this.#progress.has(attemptId)) {
      this.#progress.set(attemptId, fuel);
    }
  }

  takeProgress(): ReadonlyMap<string, bigint> {
    const taken = this.#progress;
    if (taken.size > 0) this.#progress = new Map();
    return taken;
  }

  /** The order is acknowledged or fenced. Answers its signature where it was sent on this stream. */
  settle(attemptId: string): Uint8Array | null {
    this.#slots = settled(this.#slots, attemptId);
    const signature = this.#signatures.get(attemptId) ?? null;
    this.#signatures.delete(attemptId);
    return signature;
  }

  /** Ends the stream of a node that does not read. */
  send(message: WorkMessage): void {
    if (this.#end !== null) return;
    if (this.#queue.length >= MAX_UNSENT) {
      this.#queue = [];
      this.end(unread(this.node.nodeId));
      return;
    }
    this.#queue.push(message);
    this.#wake?.();
  }

  /** Tells the node to stop this attempt; once, where it waits to be told already. */
  cancel(attemptId: string): void {
    if (this.#cancels.has(attemptId)) return;
    this.#cancels.add(attemptId);
    this.send({ kind: { case: 'cancel', value: { attemptId } } });
  }

  /** Ends the stream, with an error where there is a cause. Offers die with it, leases do not. */
  end(cause?: unknown): void {
    this.#end ??= { cause };
    this.#wake?.();
  }

  /** What to send, in order, until the stream ends. */
  async *messages(): AsyncGenerator<WorkMessage> {
    for (;;) {
      const message = this.#queue.shift();
      if (message !== undefined) {
        if (message.kind?.case === 'cancel')
          this.#cancels.delete(message.kind.value.attemptId ?? '');
        yield message;
      } else if (this.#end !== null) {
        if (this.#end.cause !== undefined) throw this.#end.cause;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
      }
    }
  }
}

/** The open Work streams of this replica, one a node. */
export class WorkStreams {
  readonly #streams = new Map<string, WorkStream>();

  /** Answers the node's older stream, which the new one replaces. */
  add(stream: WorkStream): WorkStream | null {
    const older = this.#streams.get(stream.node.nodeId) ?? null;
    this.#streams.set(stream.node.nodeId, stream);
    return older;
  }

  remove(stream: WorkStream): void {
    if (this.#streams.get(stream.node.nodeId) === stream) this.#streams.delete(stream.node.nodeId);
  }

  of(nodeId: string): WorkStream | null {
    return this.#streams.get(nodeId) ?? null;
  }

  all(): readonly WorkStream[] {
    return [...this.#streams.values()];
  }
}

function unread(nodeId: string): RpcError {
  return new RpcError(
    'UNAVAILABLE',
    'WORK_UNREAD',
    `sending work to '${nodeId}': it leaves ${MAX_UNSENT} messages unread; read them, and open another stream`,
  );
}
