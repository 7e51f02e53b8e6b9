import { randomBytes } from 'node:crypto';
import { create, fromBinary } from '@bufbuild/protobuf';
import { createClient, createRouterTransport } from '@connectrpc/connect';

import { expect } from 'chai';

import {
  HeartbeatReplySchema,
  HeartbeatService,
  MetricsSchema,
  RefusalReason,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type Metrics,
} from '#gen/gapjunction/node/v1/heartbeat_pb';

import { systemRandomBytes } from '../../../agent/clock.ts';
import { beat, type Accepted, type BeatsEnd } from '../../../agent/control-plane/beats.ts';
import type { Connection } from '../../../agent/control-plane/connection.ts';
import type { NodeIdentity } from '../../../agent/identity/identity.ts';
import { verifyMac } from '../../../protocol/heartbeat/mac.ts';
import { sealReply } from '../../../protocol/heartbeat/reply.ts';
import { enrolled, temporaryFolder } from '../../fakes/agent.ts';
import { TestAuthority } from '../../fakes/authority.ts';
import { TestClock } from '../../fakes/clock.ts';

const STREAM_ID = new Uint8Array(16).fill(5);
const NOW = Date.UTC(2026, 0, 1);

/** What a control plane says: each answers one step of the conversation. */
type Script = (
  identity: NodeIdentity,
  beats: AsyncIterator<HeartbeatRequest>,
) => AsyncIterable<HeartbeatResponse>;

describe('the beats of a node', () => {
  let identity: NodeIdentity;
  let dispose: () => void;
  before(async () => {
    const temporary = temporaryFolder();
    dispose = temporary.dispose;
    identity = await enrolled(temporary.folder, await TestAuthority.create());
  });
  after(() => dispose());

  async function run(
    script: Script,
    onAccepted: (clock: TestClock, accepted: Accepted) => void = () => {},
  ) {
    const clock = new TestClock(NOW);
    const transport = createRouterTransport(({ service }) => {
      service(HeartbeatService, {
        heartbeat: (requests) => script(identity, requests[Symbol.asyncIterator]()),
      });
    });
    const connection: Connection = {
      address: { host: 'localhost', port: 1 },
      client: (service) => createClient(service, transport),
      distrust: () => null,
      close: () => {},
    };
    const stop = new AbortController();
    const end: BeatsEnd = await beat({
      connection,
      identity,
      clock,
      randomBytes: systemRandomBytes,
      signal: stop.signal,
      content: () => ({ slots: 2, attemptIds: [] }),
      beforeBeat: () => Promise.resolve(),
      onAccepted: (accepted) => queueMicrotask(() => onAccepted(clock, accepted)),
    });
    return end;
  }

  const seal = (
    kind: Parameters<typeof create<typeof HeartbeatReplySchema>>[1],
    nonce: Uint8Array,
  ) =>
    sealReply(identity.heartbeat, create(HeartbeatReplySchema, kind), {
      timestampMs: BigInt(NOW),
      nonce,
    });
  const hello = (): HeartbeatResponse =>
    seal({ kind: { case: 'hello', value: { streamId: STREAM_ID } } }, randomBytes(16));
  const answer = (
    nonce: Uint8Array,
    nextIntervalMs = 15_000n,
    lostAfterMs = 0n,
  ): HeartbeatResponse =>
    seal({ kind: { case: 'answer', value: { nextIntervalMs, lostAfterMs } } }, nonce);

  it('carry the stream of the hello and a sequence from 1, under a MAC, in the rhythm asked for', async () => {
    const metrics: Metrics[] = [];
    const end = await run(
      async function* (node, beats) {
        yield hello();
        for (let count = 0; count < 3; count++) {
          const { value: frame } = await beats.next();
          const { timestampMs, nonce, metrics: body, mac } = frame;
          expect(verifyMac(node.heartbeat.up, { timestampMs, nonce, body }, mac)).to.equal(true);
          metrics.push(fromBinary(MetricsSchema, body));
          yield answer(nonce);
        }
      },
      (clock) => setImmediate(() => clock.advance(15_000)),
    );
    expect(end).to.deep.equal({ kind: 'lost', cause: 'the stream ended' });
    expect(metrics.map(({ sequence }) => sequence)).to.deep.equal([1n, 2n, 3n]);
    for (const { streamId, slots } of metrics) {
      expect(streamId).to.deep.equal(STREAM_ID);
      expect(slots).to.equal(2);
    }
  });

  for (const [toldMs, lostAfterMs] of [
    [300_000n, 300_000],
    [0n, 60_000],
  ] as const) {
    it(`say after how long a silence the node is lost: told ${toldMs} ms, ${lostAfterMs} ms`, async () => {
      const accepted: Accepted[] = [];
      await run(
        async function* (_, requests) {
          yield hello();
          yield answer((await requests.next()).value.nonce, 15_000n, toldMs);
        },
        (clock, one) => {
          accepted.push(one);
          setImmediate(() => clock.advance(15_000));
        },
      );
      expect(accepted).to.deep.equal([{ intervalMs: 15_000, lostAfterMs, directives: [] }]);
    });
  }

  const other = randomBytes(16);
  const helloCases: Readonly<Record<string, () => HeartbeatResponse>> = {
    'an answer': () => answer(other),
    'a MAC of zeroes': () => ({ ...hello(), mac: new Uint8Array(32) }),
    'a short MAC': () => ({ ...hello(), mac: hello().mac.subarray(1) }),
    'a short nonce': () => ({ ...hello(), nonce: new Uint8Array(15) }),
    'another key id': () => ({ ...hello(), keyId: 9 }),
    'a payload that was changed': () => ({ ...hello(), payload: hello().payload.toReversed() }),
    'a payload that is too long': () => ({ ...hello(), payload: new Uint8Array(4_097) }),
    'a stream id of another length': () =>
      seal({ kind: { case: 'hello', value: { streamId: new Uint8Array(15) } } }, other),
    'no kind': () => seal({}, other),
  };
  for (const [what, frame] of Object.entries(helloCases)) {
    it(`never begin after a hello with ${what}`, async () => {
      let beats = 0;
      const end = await run(async function* (_, requests) {
        yield frame();
        if ((await requests.next()).done !== true) beats++;
      });
      expect(end.kind).to.equal('forged');
      expect(beats).to.equal(0);
    });
  }

  const answerCases: Readonly<Record<string, (frame: HeartbeatRequest) => HeartbeatResponse>> = {
    'the nonce of another beat': () => answer(other),
    'a second hello': () => hello(),
    'a MAC of zeroes': ({ nonce }) => ({ ...answer(nonce), mac: new Uint8Array(32) }),
    'the beat itself, reflected': (frame) =>
      create(answerSchema, { ...frame, $typeName: undefined, payload: frame.metrics }),
    'an interval of nothing': ({ nonce }) => answer(nonce, 0n),
    'an interval of a year': ({ nonce }) => answer(nonce, 31_536_000_000n),
    'a loss before the next beat': ({ nonce }) => answer(nonce, 15_000n, 14_999n),
    'a loss in a year': ({ nonce }) => answer(nonce, 15_000n, 31_536_000_000n),
  };
  const answerSchema = HeartbeatService.method.heartbeat.output;
  for (const [what, reply] of Object.entries(answerCases)) {
    it(`end at an answer with ${what}`, async () => {
      const end = await run(async function* (_, requests) {
        yield hello();
        yield reply((await requests.next()).value);
      });
      expect(end.kind).to.equal('forged');
    });
  }

  it('end with the reason of a refusal, and how far the clock is off', async () => {
    const value = { reason: RefusalReason.CLOCK_OUT_OF_WINDOW, clockOffsetMs: -90_000n };
    const end = await run(async function* (_, requests) {
      yield hello();
      yield seal({ kind: { case: 'refusal', value } }, (await requests.next()).value.nonce);
    });
    expect(end).to.deep.equal({ kind: 'refused', reason: 3, clockOffsetMs: -90_000 });
  });

  it('end when the stream does before its hello', async () => {
    const end = await run(async function* () {});
    expect(end).to.deep.equal({ kind: 'lost', cause: 'the stream ended before the hello' });
  });
});
