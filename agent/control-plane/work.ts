// The node's side of a Work stream: slots and acknowledgements go up, orders and cancels come down.
import { create, type MessageInitShape } from '@bufbuild/protobuf';

import {
  DispatchService,
  WorkRequestSchema,
  type IntroductionSchema,
  type Order,
  type WorkRequest,
} from '#gen/gapjunction/node/v1/dispatch_pb';
import type { Connection } from './connection.ts';
import { failureText, isLeaving, isNotAllowed, reasonOf } from './rpc-failure.ts';
import { SendQueue } from './send-queue.ts';

/** What placement has to know of this node. */
export type Introduction = MessageInitShape<typeof IntroductionSchema>;

export type WorkEnd =
  /** A newer stream of this node took over, and it is not ours. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'lost'; readonly cause: string }
  /** The replica stops; calls that run on the connection may still finish. */
  | { readonly kind: 'leaving'; readonly cause: string }
  | { readonly kind: 'not-allowed'; readonly cause: string };

export interface WorkOptions {
  readonly connection: Connection;
  readonly signal: AbortSignal;
  readonly introduction: Introduction;
  /** The attempt to acknowledge, which is running then; null for an order that is refused. */
  readonly take: (order: Order) => string | null;
  readonly cancel: (attemptId: string) => void;
  readonly freeSlots: () => number;
}

export interface WorkStream {
  /** Offers the slots that are free now, where that is not what was offered last. */
  offer(): void;
  /** Says so again: an order that was lost on its way holds its slot at the control plane until then. */
  offerAgain(): void;
  /** Tells how much fuel an attempt has burnt so far; at most once a second for each. */
  progress(attemptId: string, fuel: bigint): void;
  /** Takes back what was offered; what runs goes on. */
  close(): void;
  readonly ended: Promise<WorkEnd>;
}

/** Opens the stream, introduces the node and offers the free slots. `ended` never rejects. */
export function openWork(options: WorkOptions): WorkStream {
  const queue = new SendQueue<WorkRequest>();
  const ending = new AbortController();
  const { take, cancel, freeSlots } = options;
  const signal = AbortSignal.any([options.signal, ending.signal]);
  /** What the control plane may still send us, as far as we told it. */
  let offered = 0;

  function offer(): void {
    const free = freeSlots();
    if (free !== offered) send(free);
  }

  function send(free: number): void {
    offered = free;
    queue.put(create(WorkRequestSchema, { kind: { case: 'offer', value: { freeSlots: free } } }));
  }

  async function read(): Promise<WorkEnd> {
    try {
      const responses = options.connection.client(DispatchService).work(queue, { signal });
      for await (const { kind } of responses) {
        if (kind.case === 'cancel') cancel(kind.value.attemptId);
        if (kind.case !== 'order') continue;
        // Each order uses up one slot of the offer at the control plane.
        offered = Math.max(0, offered - 1);
        const attemptId = take(kind.value);
        if (attemptId !== null) {
          queue.put(
            create(WorkRequestSchema, { kind: { case: 'acknowledgement', value: { attemptId } } }),
          );
        }
        offer();
      }
      return { kind: 'lost', cause: 'the Work stream ended' };
    } catch (error) {
      if (reasonOf(error) === 'SUPERSEDED') return { kind: 'superseded' };
      const cause = failureText(error);
      if (isNotAllowed(error)) return { kind: 'not-allowed', cause };
      return { kind: isLeaving(error) ? 'leaving' : 'lost', cause };
    } finally {
      queue.end();
      ending.abort(new Error('The Work stream ends'));
    }
  }

  queue.put(
    create(WorkRequestSchema, { kind: { case: 'introduction', value: options.introduction } }),
  );
  const ended = read();
  offer();
  return {
    offer,
    offerAgain() {
      if (freeSlots() > 0) send(freeSlots());
    },
    progress(attemptId, fuel) {
      const value = { attemptId, fuel };
      queue.put(create(WorkRequestSchema, { kind: { case: 'progress', value } }));
    },
    close() {
      queue.end();
      ending.abort(new Error('The Work stream is closed'));
    },
    ended,
  };
}
