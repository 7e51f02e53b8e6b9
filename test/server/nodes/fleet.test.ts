import { expect } from 'chai';
import type { Beat } from '../../../server/nodes/beat.ts';
import type { Fleet } from '../../../server/nodes/fleet.ts';
import { findNode } from '../../../server/nodes/node-store.ts';
import { onEachStore } from '../../fakes/stores.ts';
import { IdentityWorld, setDatabaseClock } from '../identity-world.ts';

onEachStore('the fleet', (store) => {
  let world: IdentityWorld;
  let fleet: Fleet;
  before(async () => {
    world = await IdentityWorld.open({ store: store() });
    ({ fleet } = world);
  });
  after(() => world.close());

  const beat = (): Beat => ({
    atMs: world.clock.now(),
    grantedIntervalMs: 15_000,
    slots: 3,
    attemptIds: [],
    agentVersion: 'agent 1',
    engineVersion: 'engine 1',
    residentMemoryBytes: 5n,
    fuelSinceStart: 2n ** 63n - 1n,
  });
  const node = async (name: string) => {
    const { nodeId } = (await world.enrolled(name)).caller;
    // As a stream's first beat does: a look at the rows that began before it was heard tells nothing newer.
    await fleet.refresh(nodeId);
    return nodeId;
  };
  const stored = (nodeId: string) => world.store.read((em) => findNode(em, nodeId));
  const lossesOf = (of: Fleet): string[] => {
    const lost: string[] = [];
    of.onLost((nodeId) => void lost.push(nodeId));
    return lost;
  };

  it('gives no work to a node that never beat, is silent, or is cordoned', async () => {
    const nodeId = await node('Silent');
    expect(fleet.mayTakeWork(nodeId)).to.equal(false);
    fleet.heard(nodeId, beat());
    expect(fleet.mayTakeWork(nodeId)).to.equal(true);
    const before = fleet.liveCount();
    const lost = lossesOf(fleet);
    await world.liveThrough(60_000);
    expect(fleet.isLive(nodeId)).to.equal(true);
    // Its minute, and 2 s in which another replica may write that it heard the node.
    await world.liveThrough(2_000);
    expect(lost).to.deep.equal([nodeId]);
    expect(fleet.mayTakeWork(nodeId)).to.equal(false);
    expect(fleet.liveCount()).to.equal(before - 1);
    fleet.heard(nodeId, beat());
    expect(fleet.mayTakeWork(nodeId)).to.equal(true);
    fleet.standingChanged(nodeId, 'cordoned');
    expect(fleet.mayTakeWork(nodeId)).to.equal(false);
  });

  it('writes what was heard in one batch, with all of its digits', async () => {
    const nodeId = await node('Written');
    fleet.heard(nodeId, beat());
    await fleet.flush();
    const row = await stored(nodeId);
    expect(row).to.include({ slots: 3, agentVersion: 'agent 1', engineVersion: 'engine 1' });
    expect(row).to.include({ lastBeatMs: world.clock.now(), lostPeriodMs: 60_000 });
    expect(row?.fuelSinceStart).to.equal(2n ** 63n - 1n);
  });

  it('loses nobody after a start before a full lost-period has passed, and then whoever stayed away', async () => {
    const [back, gone] = [await node('Back'), await node('Gone')];
    for (const nodeId of [back, gone]) fleet.heard(nodeId, beat());
    await fleet.flush();
    // Nobody heard anybody for two hours.
    await world.passTime(7_200_000);
    const restarted = await world.restartFleet();
    expect(restarted.isLive(back)).to.equal(true);
    restarted.heard(back, beat());
    await world.liveThrough(30_000, restarted);
    restarted.heard(back, beat());
    await world.liveThrough(28_000, restarted);
    expect(restarted.isLive(gone)).to.equal(true);
    // Whichever of the two lost it, the other reads so 2 s later.
    await world.liveThrough(4_000, restarted);
    await world.liveThrough(2_000, restarted);
    expect(restarted.isLive(gone)).to.equal(false);
    expect(restarted.isLive(back)).to.equal(true);
    await restarted.close();
    expect((await stored(gone))?.lostMs).to.be.a('number');
    expect((await stored(back))?.lostMs ?? null).to.equal(null);
  });

  it('has a node live again from its next beat on, in the database too', async () => {
    const nodeId = await node('Late');
    fleet.heard(nodeId, beat());
    await world.liveThrough(65_000);
    expect((await stored(nodeId))?.lostMs).to.be.a('number');
    fleet.heard(nodeId, beat());
    expect(fleet.isLive(nodeId)).to.equal(true);
    await world.liveThrough(5_000);
    expect(fleet.isLive(nodeId)).to.equal(true);
    expect((await stored(nodeId))?.lostMs ?? null).to.equal(null);
  });

  it('loses a node again when the work that its loss asks for failed', async () => {
    const nodeId = await node('Stubborn');
    const failures: unknown[] = [];
    const here = await world.restartFleet((_, cause) => failures.push(cause));
    let tries = 0;
    const unsubscribe = [here, fleet].map((one) =>
      one.onLost((lost) => {
        if (lost === nodeId && ++tries < 3) throw new Error('the database went away');
      }),
    );
    const errors = world.expectFailures();
    here.heard(nodeId, beat());
    await world.liveThrough(80_000, here);
    expect(tries).to.be.at.least(3);
    expect(failures.length + errors.length).to.equal(2);
    expect((await stored(nodeId))?.lostMs).to.be.a('number');
    for (const end of unsubscribe) end();
    await here.close();
    world.expectNoFailures();
  });

  it('accepts nothing more when the database took none of its beats for half of a lost-period, and then does', async () => {
    const nodeId = await node('Unwritten');
    const failures: string[] = [];
    let isGone = false;
    const there = await world.restartFleet((doing) => failures.push(doing), {
      ...world.store,
      transaction: (work) =>
        isGone ? Promise.reject(new Error('gone')) : world.store.transaction(work),
    });
    isGone = true;
    there.heard(nodeId, beat());
    await world.liveThrough(29_000, there);
    expect(there.canRecord(world.clock.now())).to.equal(true);
    await world.liveThrough(1_000, there);
    expect(there.canRecord(world.clock.now())).to.equal(false);
    expect(failures).to.include('writing beats');
    isGone = false;
    await world.liveThrough(2_000, there);
    expect(there.canRecord(world.clock.now())).to.equal(true);
    await there.close();
  });

  it('loses nobody while no beat can be accepted, since Redis is away, and then whoever stays away', async () => {
    const [back, gone] = [await node('Comes back'), await node('Stays away')];
    for (const nodeId of [back, gone]) fleet.heard(nodeId, beat());
    await fleet.flush();
    for (let deafMs = 0; deafMs <= 180_000; deafMs += 5_000) {
      world.deafForMs = deafMs;
      await world.liveThrough(5_000);
    }
    expect([fleet.isLive(back), fleet.isLive(gone)]).to.deep.equal([true, true]);
    world.deafForMs = 0;
    await world.liveThrough(55_000);
    expect(fleet.isLive(gone)).to.equal(true);
    fleet.heard(back, beat());
    await world.liveThrough(10_000);
    expect([fleet.isLive(back), fleet.isLive(gone)]).to.deep.equal([true, false]);
  });

  it('says once that its clock and the database part, and judges by the database', async () => {
    const nodeId = await node('Timed');
    const said: string[] = [];
    const here = await world.restartFleet((doing, cause) =>
      said.push(`${doing}: ${String(cause)}`),
    );
    here.heard(nodeId, beat());
    await here.flush();
    const errors = world.expectFailures();
    await setDatabaseClock(world.store, world.clock.now() - 5_000);
    world.clock.jump(2_000);
    await here.settled();
    world.clock.jump(2_000);
    await here.settled();
    await fleet.settled();
    expect(said).to.have.length(1);
    expect(said[0]).to.match(/^comparing clocks with the database: .*-\d+ ms ahead/);
    // Five minutes pass here, and none there.
    world.clock.jump(300_000);
    await here.settled();
    expect(here.isLive(nodeId)).to.equal(true);
    await world.passTime(0);
    await here.close();
    await fleet.settled();
    expect(errors.length).to.be.at.most(1);
    world.expectNoFailures();
  });

  it("loses a silent node in time, also when the database's clock is set back by five minutes", async () => {
    const nodeId = await node('Set back');
    // No grace of an earlier jump is left.
    await world.liveThrough(65_000);
    fleet.heard(nodeId, beat());
    await world.liveThrough(5_000);
    world.expectFailures();
    let databaseMs = world.clock.now() - 300_000;
    const pass = async (seconds: number): Promise<void> => {
      for (let passed = 0; passed < seconds; passed += 5) {
        databaseMs += 5_000;
        await setDatabaseClock(world.store, databaseMs);
        world.clock.jump(5_000);
        await fleet.settled();
      }
    };
    await pass(60);
    expect(fleet.isLive(nodeId)).to.equal(true);
    await pass(10);
    expect(fleet.isLive(nodeId)).to.equal(false);
    // And set right again.
    await world.passTime(0);
    world.expectNoFailures();
  });
});
