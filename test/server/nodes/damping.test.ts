// Half of the fleet falls silent at once, in a real database: the rules themselves are in liveness.test.ts.
import { expect } from 'chai';
import type { Beat } from '../../../server/nodes/beat.ts';
import { readGrace } from '../../../server/nodes/grace-store.ts';
import { onEachStore } from '../../fakes/stores.ts';
import { IdentityWorld } from '../identity-world.ts';

/** Three come back, and eleven are silent still: more than ten, and more than half. */
const NODES = 14;

onEachStore('a fleet that falls silent at once', (store) => {
  let world: IdentityWorld;
  let nodeIds: readonly string[];
  before(async () => {
    world = await IdentityWorld.open({ store: store() });
    const enrolled: string[] = [];
    for (let node = 0; node < NODES; node++) {
      enrolled.push((await world.enrolled(`Silent ${node}`)).caller.nodeId);
    }
    nodeIds = enrolled;
  });
  after(() => world.close());

  const hear = (heard: readonly string[]): void => {
    const beat: Beat = {
      atMs: world.clock.now(),
      grantedIntervalMs: 15_000,
      slots: 1,
      attemptIds: [],
      agentVersion: '',
      engineVersion: '',
      residentMemoryBytes: 0n,
      fuelSinceStart: 0n,
    };
    for (const nodeId of heard) world.fleet.heard(nodeId, beat);
  };
  const beatFor = async (ms: number, heard: readonly string[]): Promise<void> => {
    for (let passedMs = 0; passedMs < ms; passedMs += 15_000) {
      hear(heard);
      await world.liveThrough(15_000);
    }
  };

  it('loses no node for one further lost-period, comes back whole, and loses those who stay away the next time', async () => {
    const lost: string[] = [];
    world.fleet.onLost((nodeId) => void lost.push(nodeId));
    // The grace of a first start has passed.
    await beatFor(75_000, nodeIds);
    expect((await world.store.read(readGrace)).untilMs).to.be.below(world.clock.now());
    const silentSinceMs = world.clock.now() - 15_000;

    await world.liveThrough(75_000);
    expect(lost).to.deep.equal([]);
    // Two minutes from its last beat, and what writing one may take.
    expect((await world.store.read(readGrace)).untilMs).to.equal(silentSinceMs + 122_000);

    await beatFor(30_000, nodeIds);
    expect(world.fleet.liveCount()).to.equal(NODES);

    // Next time three of them are heard again: the others are lost when their second minute is over.
    const back = nodeIds.slice(0, 3);
    await beatFor(105_000, back);
    expect(lost).to.deep.equal([]);
    await beatFor(15_000, back);
    expect(lost.toSorted()).to.deep.equal(nodeIds.slice(3).toSorted());
    expect(world.fleet.liveCount()).to.equal(back.length);
  });

  it('is not waited for again while it is still silent', async () => {
    const lost: string[] = [];
    world.fleet.onLost((nodeId) => void lost.push(nodeId));
    await world.liveThrough(65_000);
    expect(lost.toSorted()).to.deep.equal(nodeIds.slice(0, 3).toSorted());
  });
});
