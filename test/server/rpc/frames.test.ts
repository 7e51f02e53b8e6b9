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
const HEARTBEAT = '/gapjunction.node.v1.HeartbeatService/Heartbeat';
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

  /** A stream of bare HTTP/2, whose bytes need not be messages. */
  async function bare() {
    const session = await rpc.http2(node);
    const stream = session.request({
      ':method': 'POST',
      ':path': HEARTBEAT,
      'content-type': 'application/grpc+proto',
      te: 'trailers',
    });
    const received: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => received.push(chunk));
    const [headers] = await once(stream, 'response');
    const ended = once(stream, 'trailers').then(([trailers]) => {
      session.close();
      return trailers['grpc-status'];
    });
    return { stream, headers, received, ended };
  }

  const requestOf = (timestampMs: bigint) =>
    framed(toBinary(HeartbeatRequestSchema, create(HeartbeatRequestSchema, { timestampMs })));

  it('does not mind how its frames are cut on the way', async () => {
    const { stream, received, ended } = await bare();
    const three = Buffer.concat([requestOf(1n), requestOf(200n), requestOf(3n)]);
    for (const byte of three.subarray(0, -4)) {
      stream.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    stream.end(three.subarray(-4));
    expect(await ended).to.equal('0');
    const answers = [0n, 1n, 200n, 3n].map((said) => framed(frameOf(said)));
    expect(Buffer.concat(received)).to.deep.equal(Buffer.concat(answers));
  });

  it('answers all that came before its caller closed its side, though late', async () => {
    answer = async (timestampMs) => {
      await new Promise((resolve) => setImmediate(resolve));
      return answerOf(timestampMs);
    };
    const { stream, received, ended } = await bare();
    stream.end(Buffer.concat([requestOf(1n), requestOf(2n)]));
    expect(await ended).to.equal('0');
    const answers = [0n, 1n, 2n].map((said) => framed(frameOf(said)));
    expect(Buffer.concat(received)).to.deep.equal(Buffer.concat(answers));
  });

  it('does not read on while its answers are not read', async () => {
    const said = new Set<bigint>();
    const bytes = Buffer.concat([frameOf(1n), new Uint8Array(1_000)]);
    answer = (timestampMs) => {
      said.add(timestampMs);
      return { bytes, isLast: false };
    };
    const { stream } = await bare();
    stream.pause();
    let sent = 0n;
    // Twice as many as fit into all windows and buffers on the way: 64 KiB of HTTP/2, 16 of the stream.
    const flood = Array.from({ length: 400 }, () => requestOf(++sent));
    stream.write(Buffer.concat(flood));
    await until(() => said.size > 50);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(said.size).to.be.lessThan(200);
    stream.resume();
    await until(() => said.size === 400);
    stream.close();
  });

  for (const [title, sent, status] of [
    // A tag without its value.
    ['that are no message', framed(Uint8Array.of(0x0a)), '3'],
    ['that are compressed', framed(Uint8Array.of(0x0a), 1), '12'],
    ['that are too many', framed(new Uint8Array(MAX_FRAME_BYTES + 1)).subarray(0, 5), '8'],
    ['that are said to be 4 GiB', Uint8Array.of(0, 255, 255, 255, 255), '8'],
    ['that are compressed in a way that nobody knows', framed(Uint8Array.of(0x0a), 255), '12'],
    ['that end a group which did not begin', framed(Uint8Array.of(0x0c)), '3'],
    ['that begin groups in groups', framed(Buffer.alloc(MAX_FRAME_BYTES, 0x7b)), '3'],
    ['of a number without an end', framed(Buffer.from([0x08, ...Buffer.alloc(20, 0xff)])), '3'],
    ['of a text beyond the message', framed(Uint8Array.of(0x12, 0xff, 0xff, 0xff, 0x7f)), '3'],
    ['of field 0', framed(Uint8Array.of(0x00, 0x00)), '3'],
    ['behind a good frame', Buffer.concat([requestOf(1n), framed(Uint8Array.of(0x0a))]), '3'],
  ] as const) {
    it(`refuses bytes ${title}`, async () => {
      const { stream, headers, ended } = await bare();
      stream.write(sent);
      expect(await ended).to.equal(status);
      expect(headers['grpc-accept-encoding']).to.equal('identity');
    });
  }

  for (const [title, sent, status] of [
    ['nothing', new Uint8Array(), '0'],
    ['a message of no bytes, which is one of defaults', framed(new Uint8Array()), '0'],
    ['a field that nobody knows', framed(Uint8Array.of(0xf8, 0x07, 1)), '0'],
    ['a field twice: the last counts', framed(Uint8Array.of(0x08, 1, 0x08, 2)), '0'],
    ['half of a prefix', Uint8Array.of(0, 0), '3'],
    ['half of a message', requestOf(1n).subarray(0, -1), '3'],
    [
      'half of a message behind a whole one',
      Buffer.concat([requestOf(1n), requestOf(2n).subarray(0, 6)]),
      '3',
    ],
  ] as const) {
    it(`ends with status ${status} when its caller's side ends with ${title}`, async () => {
      const { stream, ended } = await bare();
      stream.end(sent);
      expect(await ended).to.equal(status);
    });
  }

  it('lives on when streams are reset in the middle of a frame, thousands of times', async () => {
    const session = await rpc.http2(node);
    // A server of HTTP/2 may end a connection that does so: it is another's that has to live on.
    session.on('error', () => undefined);
    for (let count = 0; count < 2_000 && !session.closed && !session.destroyed; count++) {
      const stream = session.request({
        ':method': 'POST',
        ':path': HEARTBEAT,
        'content-type': 'application/grpc+proto',
        te: 'trailers',
      });
      stream.on('error', () => undefined);
      stream.write(requestOf(1n).subarray(0, 6));
      stream.close();
      if (count % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    session.destroy();
    const { stream, received, ended } = await bare();
    stream.end(requestOf(7n));
    expect(await ended).to.equal('0');
    const answers = [0n, 7n].map((said) => framed(frameOf(said)));
    expect(Buffer.concat(received)).to.deep.equal(Buffer.concat(answers));
  });
});

/** With the prefix of gRPC before it. */
function framed(message: Uint8Array, compressed = 0): Buffer {
  const prefix = Buffer.alloc(5, compressed);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

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
