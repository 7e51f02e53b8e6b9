import { create, fromBinary } from '@bufbuild/protobuf';
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import {
  Directive,
  HeartbeatReplySchema,
  type HeartbeatResponse,
  HeartbeatResponseSchema,
  type HeartbeatService,
  RefusalReason,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import { heartbeatService, type HeartbeatDeps } from '../../../server/nodes/heartbeat-service.ts';
import {
  memoryNonceStore,
  NonceStoreUnavailable,
  type NonceStore,
} from '../../../server/nodes/nonce-store.ts';
import type { Handlers } from '../../../server/rpc/service.ts';
import { makeBeat } from '../../fakes/beat.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { contextOf, IdentityWorld } from '../identity-world.ts';

type Enrolled = Awaited<ReturnType<IdentityWorld['enrolled']>>;

describe('a heartbeat stream', () => {
  let world: IdentityWorld;
  before(async () => {
    world = await IdentityWorld.open();
  });
  after(() => world.close());

  const depsWith = (changes: Partial<HeartbeatDeps> = {}): HeartbeatDeps => ({
    store: world.store,
    clock: world.clock,
    randomBytes,
    random: () => 0.5,
    heartbeatMaster: world.secrets.heartbeatMaster,
    certificateLifeMs: 24 * 3_600_000,
    revocations: world.revocations,
    nonces: memoryNonceStore({ clock: world.clock }),
    fleet: world.fleet,
    baseIntervalMs: 15_000,
    maxBeatsPerSecond: 2_000,
    ...changes,
  });

  /** A stream whose next frame is made when it is asked for. */
  async function open(node: Enrolled, changes: Partial<HeartbeatDeps> = {}) {
    const handlers = heartbeatService(depsWith(changes)).handlers as unknown as Handlers<
      typeof HeartbeatService
    >;
    const frames: ReturnType<typeof makeBeat>[] = [];
    async function* requests() {
      for (let frame = frames.shift(); frame !== undefined; frame = frames.shift()) yield frame;
    }
    const replies = handlers.heartbeat(requests(), contextOf(node.caller))[Symbol.asyncIterator]();
    const next = async () => replyOf((await replies.next()).value);
    const hello = await next();
    if (hello.case !== 'hello') throw new Error('no hello came');
    const { streamId } = hello.value;
    let sequence = 0n;
    return async () => {
      frames.push(
        makeBeat(node.identity, {
          timestampMs: world.clock.now(),
          metrics: { streamId, sequence: ++sequence },
        }),
      );
      return next();
    };
  }

  function replyOf(frame: unknown) {
    if (frame === undefined) throw new Error('the stream has ended');
    const { payload } = create(HeartbeatResponseSchema, frame as HeartbeatResponse);
    return fromBinary(HeartbeatReplySchema, payload).kind;
  }

  it('is refused from the moment on at which its certificate ends', async () => {
    const beat = await open(await world.enrolled('Ending'));
    expect((await beat()).case).to.equal('answer');
    await world.passTime(24 * 3_600_000 + 1_000);
    const reply = await beat();
    expect(reply).to.have.nested.property('value.reason', RefusalReason.NOT_ALLOWED);
  });

  it('tells a node to renew when a third of its certificate is left, and to drain when asked', async () => {
    const node = await world.enrolled('Directed');
    const beat = await open(node);
    expect(await beat())
      .to.have.nested.property('value.directives')
      .that.deep.equals([]);
    world.fleet.standingChanged(node.caller.nodeId, 'draining');
    expect(await beat())
      .to.have.nested.property('value.directives')
      .that.deep.equals([Directive.DRAIN]);
    await world.passTime(17 * 3_600_000);
    expect(await beat())
      .to.have.nested.property('value.directives')
      .that.deep.equals([Directive.RENEW, Directive.DRAIN]);
  });

  it('is told to beat less often when the fleet is larger than the budget', async () => {
    const node = await world.enrolled('Large fleet');
    const beat = await open(node, { maxBeatsPerSecond: 0.01 });
    await beat();
    const live = BigInt(world.fleet.liveCount());
    expect(await beat()).to.have.nested.property('value.nextIntervalMs', 100_000n * live);
  });

  it('ends unavailable, accepting nothing, when nonces cannot be claimed', async () => {
    const node = await world.enrolled('No nonces');
    const nonces: NonceStore = {
      claim: async () => {
        throw new NonceStoreUnavailable('gone');
      },
      unavailableForMs: () => 0,
      close: async () => {},
    };
    const beat = await open(node, { nonces });
    await expectRefusal(beat(), 'UNAVAILABLE', 'NONCE_STORE_UNAVAILABLE');
    expect(world.fleet.isLive(node.caller.nodeId)).to.equal(false);
  });

  it('is refused when the revocation came while its nonce was being claimed', async () => {
    const node = await world.enrolled('Raced');
    const nonces: NonceStore = {
      claim: async () => {
        world.revocations.announce([node.caller.serial]);
        return true;
      },
      unavailableForMs: () => 0,
      close: async () => {},
    };
    const beat = await open(node, { nonces });
    expect(await beat()).to.have.nested.property('value.reason', RefusalReason.NOT_ALLOWED);
    expect(world.fleet.isLive(node.caller.nodeId)).to.equal(false);
  });

  it('burns no nonce on a frame that fails another check', async () => {
    const node = await world.enrolled('Careful');
    const claimed: string[] = [];
    const nonces: NonceStore = {
      claim: async (_, nonce) => claimed.push(Buffer.from(nonce).toString('hex')) > 0,
      unavailableForMs: () => 0,
      close: async () => {},
    };
    const beat = await open(node, { nonces });
    world.fleet.standingChanged(node.caller.nodeId, 'revoked');
    expect(await beat()).to.have.nested.property('value.reason', RefusalReason.NOT_ALLOWED);
    expect(claimed).to.deep.equal([]);
  });
});
