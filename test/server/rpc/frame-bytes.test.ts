// The bytes of a method that is served frame by frame, as a hostile or broken caller may send them.
import { once } from 'node:events';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import {
  HeartbeatRequestSchema,
  HeartbeatResponseSchema,
  HeartbeatService,
  type HeartbeatRequest,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import { inMessages, type FrameAnswer, type FrameHandler } from '../../../server/rpc/frames.ts';
import { implement } from '../../../server/rpc/service.ts';
import type { IssuedCertificate } from '../../fakes/authority.ts';
import { startListener, type TestListener } from '../../fakes/listener.ts';

const HEARTBEAT = '/gapjunction.node.v1.HeartbeatService/Heartbeat';
const MAX_FRAME_BYTES = 1_000;

/** A frame that says one number, and nothing else. */
const frameOf = (timestampMs: bigint) =>
  toBinary(HeartbeatResponseSchema, create(HeartbeatResponseSchema, { timestampMs }));

describe('the bytes of a method that is served frame by frame', () => {
  let rpc: TestListener;
  let node: IssuedCertificate;
  let answer: (timestampMs: bigint) => FrameAnswer | Promise<FrameAnswer>;

  const heartbeat: FrameHandler<HeartbeatRequest> = {
    maxFrameBytes: MAX_FRAME_BYTES,
    read: (bytes) => fromBinary(HeartbeatRequestSchema, bytes),
    open: async () => ({
      greeting: frameOf(0n),
      answer: ({ timestampMs }) => answer(timestampMs),
    }),
  };
  const handlers = { heartbeat: inMessages(HeartbeatService.method.heartbeat, heartbeat) };

  before(async () => {
    rpc = await startListener({ services: [implement(HeartbeatService, handlers, { heartbeat })] });
    node = await rpc.authority.node(`n-${'a'.repeat(20)}`);
  });
  after(() => rpc.stop());
  beforeEach(() => {
    answer = (timestampMs) => ({ bytes: frameOf(timestampMs), isLast: false });
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
      return { bytes: frameOf(timestampMs), isLast: false };
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

/** Resolves at the turn of the event loop in which it holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
