// What a session makes of a control plane that can accept no beats for a while.
import { create, fromBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect';
import { expect } from 'chai';

import { DispatchService } from '#gen/gapjunction/node/v1/dispatch_pb';
import {
  HeartbeatReplySchema,
  HeartbeatService,
  MetricsSchema,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import { ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';

import { systemRandomBytes } from '../../../agent/clock.ts';
import { openSession, type Session, unheardPauseMs } from '../../../agent/control-plane/session.ts';
import type { NodeIdentity } from '../../../agent/identity/identity.ts';
import { sealReply } from '../../../protocol/heartbeat/reply.ts';
import { enrolled, temporaryFolder } from '../../fakes/agent.ts';
import { TestAuthority } from '../../fakes/authority.ts';
import { TestClock } from '../../fakes/clock.ts';

const INTERVAL_MS = 15_000;

const unheard = new ConnectError('no nonce store', Code.Unavailable, undefined, [
  { desc: ErrorInfoSchema, value: { reason: 'NONCE_STORE_UNAVAILABLE' } },
]);

describe('a session whose beats nobody can accept for a while', () => {
  let identity: NodeIdentity;
  let dispose: () => void;
  before(async () => {
    const temporary = temporaryFolder();
    dispose = temporary.dispose;
    identity = await enrolled(temporary.folder, await TestAuthority.create());
  });
  after(() => dispose());

  /** Each beat is accepted or refused as `accepts` says; `onVerdict` is told after each. */
  function open(accepts: () => boolean, onVerdict: (clock: TestClock) => void) {
    const clock = new TestClock(Date.UTC(2026, 0, 1));
    const streamId = new Uint8Array(16).fill(5);
    const seal = (
      reply: Parameters<typeof create<typeof HeartbeatReplySchema>>[1],
      nonce: Uint8Array,
    ) =>
      sealReply(identity.heartbeat, create(HeartbeatReplySchema, reply), {
        timestampMs: BigInt(clock.now()),
        nonce,
      });
    let workStreams = 0;
    const transport = createRouterTransport(({ service }) => {
      service(HeartbeatService, {
        async *heartbeat(requests) {
          yield seal({ kind: { case: 'hello', value: { streamId } } }, new Uint8Array(16));
          for await (const { metrics, nonce } of requests) {
            expect(fromBinary(MetricsSchema, metrics).streamId).to.deep.equal(streamId);
            setImmediate(() => onVerdict(clock));
            if (!accepts()) throw unheard;
            const value = { nextIntervalMs: BigInt(INTERVAL_MS) };
            yield seal({ kind: { case: 'answer', value } }, nonce);
          }
        },
      });
      service(DispatchService, {
        async *work(requests) {
          workStreams++;
          for await (const _ of requests) yield* [];
        },
      });
    });
    const session: Session = openSession({
      connection: {
        address: { host: 'localhost', port: 1 },
        client: (service) => createClient(service, transport),
        distrust: () => null,
        close: () => {},
      },
      identity,
      clock,
      // Each pause at its longest.
      random: () => 1,
      randomBytes: systemRandomBytes,
      introduction: { labels: {}, isolationLevel: IsolationLevel.PROCESS },
      content: () => ({ slots: 1, attemptIds: [] }),
      onAccepted: () => {},
      take: () => null,
      cancel: () => {},
      freeSlots: () => 1,
    });
    return { session, workStreams: () => workStreams };
  }

  it('works on, and beats anew until a beat is accepted again', async () => {
    const again = Promise.withResolvers<void>();
    let beats = 0;
    const { session, workStreams } = open(
      () => ++beats === 1 || beats > 5,
      (clock) => {
        if (beats === 6) again.resolve();
        // To the next beat, or the next try.
        else clock.advance(beats === 1 ? INTERVAL_MS : 500 * 2 ** (beats - 2));
      },
    );
    await again.promise;
    expect(session.isUp()).to.equal(true);
    expect(workStreams()).to.equal(1);
    session.close();
  });

  it('looks for another replica after two intervals, since that may hear it', async () => {
    let beats = 0;
    let firstMs = 0;
    let nowMs = 0;
    const { session } = open(
      () => ++beats === 1,
      (clock) => {
        firstMs ||= clock.now();
        nowMs = clock.now();
        clock.advance(beats === 1 ? INTERVAL_MS : 4_000);
      },
    );
    expect((await session.ended).kind).to.equal('unheard');
    expect(nowMs - firstMs).to.be.within(INTERVAL_MS, 2 * INTERVAL_MS);
  });

  it('does so at once when none of its beats was accepted', async () => {
    let beats = 0;
    const { session } = open(
      () => ++beats < 1,
      () => {},
    );
    expect((await session.ended).kind).to.equal('unheard');
    expect(beats).to.equal(1);
  });

  it('is asked ever less often, and not in step with the fleet that lost its beats with it', () => {
    const longest = Array.from({ length: 6 }, (_, tries) => unheardPauseMs(tries, () => 1));
    expect(longest).to.deep.equal([500, 1_000, 2_000, 4_000, 4_000, 4_000]);
    const shortest = Array.from({ length: 6 }, (_, tries) => unheardPauseMs(tries, () => 0));
    expect(shortest).to.deep.equal([250, 500, 1_000, 2_000, 2_000, 2_000]);
  });
});
