import { PassThrough } from 'node:stream';
import { once } from 'node:events';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import {
  HeartbeatRequestSchema,
  HeartbeatResponseSchema,
  HeartbeatService,
  type HeartbeatRequest,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import { RpcError } from '../../../server/rpc/error.ts';
import {
  inMessages,
  type Fail,
  type FrameAnswer,
  type FrameHandler,
} from '../../../server/rpc/frames.ts';
import { implement, type CallContext } from '../../../server/rpc/service.ts';
import type { IssuedCertificate } from '../../fakes/authority.ts';
import { failureOf } from '../../fakes/failure.ts';
import { startListener, type TestListener } from '../../fakes/listener.ts';

const ID = 'aaaaaaaaaaaaaaaaaaaa';
const MAX_FRAME_BYTES = 1_000;
const GONE = new RpcError('UNAVAILABLE', 'GONE', 'answering: what it takes is gone');

/** A frame that says one number, and nothing else. */
const frameOf = (timestampMs: bigint) =>
  toBinary(HeartbeatResponseSchema, create(HeartbeatResponseSchema, { timestampMs }));
const answerOf = (timestampMs: bigint, isLast = false): FrameAnswer => ({
  bytes: frameOf(timestampMs),
  isLast,
});

describe('a method that is served frame by frame', () => {
  let rpc: TestListener;
  let node: IssuedCertificate;
  let answer: (timestampMs: bigint) => FrameAnswer | Promise<FrameAnswer>;
  let refusal: RpcError | null;
  let opened: { readonly fail: Fail; readonly context: CallContext };

  const heartbeat: FrameHandler<HeartbeatRequest> = {
    maxFrameBytes: MAX_FRAME_BYTES,
    read: (bytes) => fromBinary(HeartbeatRequestSchema, bytes),
    open: async (context, fail) => {
      if (refusal !== null) throw refusal;
      opened = { context, fail };
      return { greeting: frameOf(0n), answer: ({ timestampMs }) => answer(timestampMs) };
    },
  };
  const handlers = { heartbeat: inMessages(HeartbeatService.method.heartbeat, heartbeat) };

  before(async () => {
    rpc = await startListener({ services: [implement(HeartbeatService, handlers, { heartbeat })] });
    node = await rpc.authority.node(`n-${ID}`);
  });
  after(() => rpc.stop());
  beforeEach(() => {
    refusal = null;
    answer = (timestampMs) => answerOf(timestampMs);
  });

  /** The same stream over the wire, and to a caller in this process. */
  const ways = {
    'over the wire': (requests: AsyncIterable<HeartbeatRequest>) =>
      rpc.clientFor(HeartbeatService, node).heartbeat(requests),
    'in this process': (requests: AsyncIterable<HeartbeatRequest>) =>
      handlers.heartbeat(requests, {} as CallContext) as AsyncIterable<{ timestampMs: bigint }>,
  };

  for (const [way, call] of Object.entries(ways)) {
    const open = async () => {
      const requests = new PassThrough({ objectMode: true });
      const answers = call(requests)[Symbol.asyncIterator]();
      const next = async () => (await answers.next()).value?.timestampMs as bigint | undefined;
      const send = (timestampMs: bigint) =>
        requests.write(create(HeartbeatRequestSchema, { timestampMs }));
      return { requests, next, send };
    };

    it(`${way} speaks first, answers each frame, and ends well with its caller`, async () => {
      const { requests, next, send } = await open();
      expect(await next()).to.equal(0n);
      for (const said of [1n, 2n, 3n]) {
        send(said);
        expect(await next()).to.equal(said);
      }
      requests.end();
      expect(await next()).to.equal(undefined);
    });

    it(`${way} answers in order what is answered late, and reads nothing meanwhile`, async () => {
      const asked: bigint[] = [];
      const late = Promise.withResolvers<void>();
      answer = async (timestampMs) => {
        asked.push(timestampMs);
        await late.promise;
        return answerOf(timestampMs);
      };
      const { next, send } = await open();
      await next();
      send(1n);
      send(2n);
      const first = next();
      await until(() => asked.length > 0);
      expect(asked).to.deep.equal([1n]);
      late.resolve();
      expect(await first).to.equal(1n);
      expect(await next()).to.equal(2n);
    });

    it(`${way} ends after the last answer`, async () => {
      answer = () => answerOf(9n, true);
      const { next, send } = await open();
      await next();
      send(1n);
      expect(await next()).to.equal(9n);
      expect(await next()).to.equal(undefined);
    });

    for (const [title, failing] of [
      ['throws', () => raise(GONE)],
      ['rejects', async () => raise(GONE)],
    ] as const) {
      it(`${way} ends with the status of an answer that ${title}`, async () => {
        answer = failing;
        const { next, send } = await open();
        await next();
        send(1n);
        expect(await reasonOf(next())).to.equal('GONE');
      });
    }

    it(`${way} can be ended while no frame is under way`, async () => {
      const { next } = await open();
      await next();
      const waiting = next();
      opened.fail(GONE);
      expect(await reasonOf(waiting)).to.equal('GONE');
    });

    it(`${way} can be refused before anything is said`, async () => {
      refusal = GONE;
      const { next } = await open();
      expect(await reasonOf(next())).to.equal('GONE');
    });
  }

  it('tells its handler when the caller leaves', async () => {
    const controller = new AbortController();
    const requests = new PassThrough({ objectMode: true });
    const answers = rpc
      .clientFor(HeartbeatService, node)
      .heartbeat(requests, { signal: controller.signal });
    await answers[Symbol.asyncIterator]().next();
    const gone = once(opened.context.signal, 'abort');
    controller.abort();
    await gone;
  });
});

function raise(error: RpcError): never {
  throw error;
}

/** Of a failure over the wire, or of the handler's own. */
async function reasonOf(call: Promise<unknown>): Promise<string> {
  const failure = await call.catch((error: unknown) => error);
  if (failure instanceof RpcError) return failure.reason;
  return (await failureOf(Promise.reject(failure))).reason;
}

/** Resolves at the turn of the event loop in which it holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
