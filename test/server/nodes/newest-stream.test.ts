// A node's second heartbeat stream: on the same replica or another, its own or somebody else's.
import { randomBytes } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  HeartbeatReplySchema,
  type HeartbeatResponse,
  type HeartbeatService,
  RefusalReasonSchema,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import type { Fleet } from '../../../server/nodes/fleet.ts';
import { heartbeatService } from '../../../server/nodes/heartbeat-service.ts';
import { judgeOlderBeat } from '../../../server/nodes/newest-stream.ts';
import { memoryNonceStore } from '../../../server/nodes/nonce-store.ts';
import type { Handlers } from '../../../server/rpc/service.ts';
import type { Store } from '../../../server/store/store.ts';
import { makeBeat } from '../../fakes/beat.ts';
import { onEachStore } from '../../fakes/stores.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { contextOf, IdentityWorld } from '../identity-world.ts';

type Enrolled = Awaited<ReturnType<IdentityWorld['enrolled']>>;
type Heartbeat = Handlers<typeof HeartbeatService>;

describe('a beat on an older stream', () => {
  it('is a clone where it was made after the younger stream began, and late otherwise', () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.nat(1e9), (timestampMs, firstBeatMs) => {
        expect(judgeOlderBeat({ timestampMs }, { firstBeatMs })).to.equal(
          timestampMs > firstBeatMs ? 'clone' : 'late',
        );
      }),
    );
  });
});

onEachStore("a node's newest heartbeat stream", (store) => {
  let world: IdentityWorld;
  let there: Fleet;
  let replicas: readonly [Heartbeat, Heartbeat];
  before(async () => {
    world = await IdentityWorld.open({ store: store() });
    there = await world.restartFleet();
    const nonces = memoryNonceStore({ clock: world.clock });
    replicas = [replicaOf(world.fleet, nonces), replicaOf(there, nonces)];
  });
  after(async () => {
    await there.close();
    await world.close();
  });

  function replicaOf(
    fleet: Fleet,
    nonces = memoryNonceStore({ clock: world.clock }),
    auditedIn: Store = world.store,
  ): Heartbeat {
    const { clock, secrets, revocations } = world;
    const { handlers } = heartbeatService({
      store: auditedIn,
      clock,
      randomBytes,
      random: () => 0.5,
      heartbeatMaster: secrets.heartbeatMaster,
      certificateLifeMs: 24 * 3_600_000,
      revocations,
      nonces,
      fleet,
      baseIntervalMs: 15_000,
      maxBeatsPerSecond: 2_000,
    });
    return handlers as unknown as Heartbeat;
  }

  /** Opens a stream; what is answered sends its next beat, made at this time. */
  async function open(node: Enrolled, replica: Heartbeat) {
    const frames: ReturnType<typeof makeBeat>[] = [];
    async function* requests() {
      for (let frame = frames.shift(); frame !== undefined; frame = frames.shift()) yield frame;
    }
    const replies = replica.heartbeat(requests(), contextOf(node.caller))[Symbol.asyncIterator]();
    const next = async () => {
      const { value } = (await replies.next()) as { value: HeartbeatResponse };
      return fromBinary(HeartbeatReplySchema, value.payload).kind;
    };
    const hello = await next();
    if (hello.case !== 'hello') throw new Error('no hello came');
    const { streamId } = hello.value;
    let sequence = 0n;
    return async (timestampMs = world.clock.now()) => {
      frames.push(
        makeBeat(node.identity, { timestampMs, metrics: { streamId, sequence: ++sequence } }),
      );
      const reply = await next();
      return reply.case === 'refusal'
        ? RefusalReasonSchema.value[reply.value.reason]?.localName
        : reply.case;
    };
  }

  const settle = async () => {
    await world.fleet.settled();
    await there.settled();
  };
  const refusals = async (node: Enrolled) =>
    (await world.auditActions(node.caller.nodeId)).filter((action) =>
      action.startsWith('HEARTBEAT'),
    );

  for (const [where, index] of [
    ['on the same replica', 0],
    ['on another replica', 1],
  ] as const) {
    it(`${where} ends the older one by its next beat, which tells that the key was copied`, async () => {
      const node = await world.enrolled(`Cloned ${where}`);
      const original = await open(node, replicas[0]);
      expect(await original()).to.equal('answer');
      await world.passTime(1_000);
      const clone = await open(node, replicas[index]);
      expect(await clone()).to.equal('answer');
      await settle();
      await world.passTime(1_000);
      expect(await original()).to.equal('SUPERSEDED');
      expect(await refusals(node)).to.deep.equal(['HEARTBEAT_CLONE']);
      expect(await clone()).to.equal('answer');
    });

    it(`${where} makes a beat from before it late, and nobody suspect`, async () => {
      const node = await world.enrolled(`Late ${where}`);
      const older = await open(node, replicas[0]);
      expect(await older()).to.equal('answer');
      const lateMs = world.clock.now();
      await world.passTime(5_000);
      const younger = await open(node, replicas[index]);
      expect(await younger()).to.equal('answer');
      await settle();
      expect(await older(lateMs)).to.equal('SUPERSEDED');
      expect(await refusals(node)).to.deep.equal(['HEARTBEAT_REFUSED']);
    });

    it(`${where} is not taken back by an older stream's first beat that was on its way`, async () => {
      const node = await world.enrolled(`Slow ${where}`);
      const slow = await open(node, replicas[0]);
      const sentMs = world.clock.now();
      await world.passTime(11_000);
      const quick = await open(node, replicas[index]);
      expect(await quick()).to.equal('answer');
      expect(await slow(sentMs)).to.equal('SUPERSEDED');
      expect(await quick()).to.equal('answer');
      expect(await refusals(node)).to.deep.equal(['HEARTBEAT_REFUSED']);
    });
  }

  it('tells of a clone also where another refusal of its minute was told', async () => {
    const node = await world.enrolled('Noisy');
    const noisy = await open(node, replicas[0]);
    expect(await noisy(world.clock.now() - 300_000)).to.equal('CLOCK_OUT_OF_WINDOW');
    const original = await open(node, replicas[0]);
    await original();
    const clone = await open(node, replicas[0]);
    await clone();
    expect(await original(world.clock.now() + 1)).to.equal('SUPERSEDED');
    expect(await refusals(node)).to.deep.equal(['HEARTBEAT_REFUSED', 'HEARTBEAT_CLONE']);
  });

  it('tells of a clone also where it could not be written down the first time', async () => {
    const node = await world.enrolled('Untold');
    let isGone = false;
    const replica = replicaOf(world.fleet, undefined, {
      ...world.store,
      transaction: (work) =>
        isGone ? Promise.reject(new Error('gone')) : world.store.transaction(work),
    });
    const original = await open(node, replica);
    await original();
    const clone = await open(node, replica);
    await clone();
    isGone = true;
    const untold = await original(world.clock.now() + 1).catch((cause: unknown) => cause);
    expect(untold).to.have.property('message', 'gone');
    isGone = false;
    const again = await open(node, replica);
    await again();
    expect(await clone(world.clock.now() + 1)).to.equal('SUPERSEDED');
    expect(await refusals(node)).to.deep.equal(['HEARTBEAT_CLONE']);
  });

  it('is no clone of itself where its row is read before its claim is answered', async () => {
    const node = await world.enrolled('Read early');
    let readMeanwhile = async (): Promise<void> => {};
    const fleet = await world.restartFleet(undefined, {
      ...world.store,
      transaction: async (work) => {
        const answer = await world.store.transaction(work);
        await readMeanwhile();
        return answer;
      },
    });
    readMeanwhile = () => fleet.refresh(node.caller.nodeId);
    const beat = await open(node, replicaOf(fleet));
    expect(await beat()).to.equal('answer');
    await world.passTime(1_000);
    expect(await beat()).to.equal('answer');
    expect(await refusals(node)).to.deep.equal([]);
    await fleet.close();
  });

  it('is known after a restart: the stream from before is ended by its next beat', async () => {
    const node = await world.enrolled('Restarted');
    const before = await open(node, replicas[0]);
    expect(await before()).to.equal('answer');
    await world.passTime(1_000);
    const restarted = await world.restartFleet();
    const after = await open(node, replicaOf(restarted));
    expect(await after()).to.equal('answer');
    await restarted.close();
    await settle();
    await world.passTime(1_000);
    expect(await before()).to.equal('SUPERSEDED');
  });

  it('is begun by no beat that the database cannot have: the agent goes elsewhere, and the next one is taken', async () => {
    const node = await world.enrolled('Databaseless');
    let isGone = false;
    const fragile: Store = {
      ...world.store,
      transaction: (work) =>
        isGone ? Promise.reject(new Error('gone')) : world.store.transaction(work),
    };
    const failures: string[] = [];
    const fleet = await world.restartFleet((doing) => failures.push(doing), fragile);
    const replica = replicaOf(fleet);
    const beat = await open(node, replica);
    isGone = true;
    await expectRefusal(beat(), 'UNAVAILABLE', 'DATABASE_UNAVAILABLE');
    expect(fleet.isLive(node.caller.nodeId)).to.equal(false);
    isGone = false;
    const again = await open(node, replica);
    expect(await again()).to.equal('answer');
    // Afterwards beats go on without the database, for half of a lost-period.
    isGone = true;
    for (let seconds = 0; seconds < 30; seconds += 15) {
      expect(await again()).to.equal('answer');
      await world.liveThrough(15_000, fleet);
    }
    await expectRefusal(again(), 'UNAVAILABLE', 'DATABASE_UNAVAILABLE');
    isGone = false;
    await fleet.close();
  });
});
