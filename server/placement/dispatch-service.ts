import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import {
  DispatchService,
  type Introduction,
  type WorkRequest,
} from '#gen/gapjunction/node/v1/dispatch_pb';
import type { Logs } from '../logs/logs.ts';
import { RpcError } from '../rpc/error.ts';
import {
  callerOf,
  implement,
  type CallContext,
  type ServiceImplementation,
} from '../rpc/service.ts';
import type { NodeTraits } from './assignment.ts';
import type { Completion } from './completion.ts';
import type { Dispatch } from './dispatch.ts';
import type { WorkMessage, WorkStream } from './work-stream.ts';

/**
 * Acknowledgements of one node that are written at once; it is read on when there are fewer. All nodes'
 * wait for one writer, so that a node that makes them up would keep the others' from being written in 5 s.
 * Two batches of it: a node that had 1,024 orders at once is done in 16 of them.
 */
const MAX_ACKNOWLEDGING = 128;

export function dispatchService(
  dispatch: Dispatch,
  completion: Completion,
  logs: Pick<Logs, 'append'>,
): ServiceImplementation {
  return implement(DispatchService, {
    async *work(requests, context) {
      const stream = await dispatch.open(callerOf(context, 'node'));
      const endOnAbort = () => stream.end();
      context.signal.addEventListener('abort', endOnAbort);
      // Not waited for at the end: a node may keep its side open for as long as it likes.
      void readRequests(dispatch, stream, requests, context);
      try {
        yield* stream.messages() satisfies AsyncIterable<WorkMessage>;
      } finally {
        context.signal.removeEventListener('abort', endOnAbort);
        stream.end();
        dispatch.close(stream);
      }
    },

    async appendLogs({ attemptId, offsetBytes, chunk }, context) {
      const { nodeId } = callerOf(context, 'node');
      // What lies beyond 2^53 is beyond every bound all the same.
      const piece = { attemptId, nodeId, offsetBytes: Number(offsetBytes), bytes: chunk };
      return { nextOffsetBytes: BigInt(await logs.append(piece)) };
    },

    async complete(request, context) {
      return (await completion.complete(request, callerOf(context, 'node').nodeId)) ?? {};
    },
  });
}

/** Unless it says more, a node has the lowest isolation level. */
function traitsOf({ labels, isolationLevel }: Introduction): NodeTraits {
  const { UNSPECIFIED, PROCESS } = IsolationLevel;
  return { labels, isolationLevel: isolationLevel === UNSPECIFIED ? PROCESS : isolationLevel };
}

/** Until the node ends its side, or the stream is over. What goes wrong ends the stream. */
async function readRequests(
  dispatch: Dispatch,
  stream: WorkStream,
  requests: AsyncIterable<WorkRequest>,
  { signal, log }: CallContext,
): Promise<void> {
  const acknowledging = new Set<Promise<void>>();
  try {
    for await (const { kind } of requests) {
      // Its end is told when what was sent before has left; a node that reads nothing is not read either.
      if (stream.hasEnded) return;
      switch (kind.case) {
        case 'offer':
          dispatch.offer(stream, kind.value.freeSlots);
          break;
        case 'introduction':
          dispatch.introduce(stream, traitsOf(kind.value));
          break;
        case 'acknowledgement':
          await admit(acknowledging, dispatch.acknowledge(stream, kind.value.attemptId));
          break;
        case 'progress':
          stream.progress(kind.value.attemptId, kind.value.fuel);
          break;
        case undefined:
          break;
        default:
          kind satisfies never;
      }
    }
    stream.end();
  } catch (cause) {
    if (signal.aborted || cause instanceof RpcError) {
      stream.end(cause);
      return;
    }
    log.error({ err: cause }, 'reading a Work stream');
    stream.end(cause);
  }
}

/** Resolves when there is room for one more. */
async function admit(underWay: Set<Promise<void>>, writing: Promise<void>): Promise<void> {
  underWay.add(writing);
  void writing.finally(() => underWay.delete(writing));
  if (underWay.size >= MAX_ACKNOWLEDGING) await Promise.race(underWay);
}
