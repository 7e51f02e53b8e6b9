import { expect } from 'chai';
import type { Beat, Fleet } from '../../../server/nodes/fleet.ts';
import { findNode } from '../../../server/nodes/node-store.ts';
import { IdentityWorld } from '../identity-world.ts';

describe('the fleet', () => {
  let world: IdentityWorld;
  let fleet: Fleet;
  before(async () => {
    world = await IdentityWorld.open();
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
  const lossOf = (nodeId: string, of: Fleet): Promise<void> =>
    new Promise((resolve) => {
      of.onLost((lost) => {
        if (lost === nodeId) resolve();
      });
    });
  const node = async (name: string) => (await world.enrolled(name)).caller.nodeId;
  const stored = (nodeId: string) => world.store.read((em) => findNode(em, nodeId));

  it('gives no work to a node that never beat, is silent, or is revoked', async () => {
    const nodeId = await node('Silent');
    expect(fleet.mayTakeWork(nodeId)).to.equal(false);
    fleet.heard(nodeId, beat());
    expect(fleet.mayTakeWork(nodeId)).to.equal(true);
    const before = fleet.liveCount();
    await world.passTime(59_000);
    expect(fleet.isLive(nodeId)).to.equal(true);
    const loss = lossOf(nodeId, fleet);
    await world.passTime(1_500);
    await loss;
    expect(fleet.mayTakeWork(nodeId)).to.equal(false);
    expect(fleet.liveCount()).to.equal(before - 1);
    fleet.heard(nodeId, beat());
    fleet.standingChanged(nodeId, 'revoked');
    expect(fleet.mayTakeWork(nodeId)).to.equal(false);
  });

  it('writes what was heard in one batch, with all of its digits', async () => {
    const nodeId = await node('Written');
    fleet.heard(nodeId, beat());
    await fleet.flush();
    const row = await stored(nodeId);
    expect(row).to.include({ slots: 3, agentVersion: 'agent 1', engineVersion: 'engine 1' });
    expect(row?.fuelSinceStart).to.equal(2n ** 63n - 1n);
    expect(row?.lastBeatMs).to.be.a('number');
  });

  it('loses nobody after a start before a full lost-period has passed, and then whoever stayed away', async () => {
    const [back, gone] = [await node('Back'), await node('Gone')];
    const before = await world.restartFleet();
    for (const nodeId of [back, gone]) before.heard(nodeId, beat());
    await before.close();
    // A server that was down for two hours heard nobody meanwhile.
    await world.passTime(7_200_000);
    const restarted = await world.restartFleet();
    expect(restarted.isLive(back)).to.equal(true);
    await world.passTime(30_000);
    restarted.heard(back, beat());
    await world.passTime(29_000);
    expect(restarted.isLive(gone)).to.equal(true);
    await world.passTime(2_000);
    expect(restarted.isLive(gone)).to.equal(false);
    expect(restarted.isLive(back)).to.equal(true);
    await restarted.close();
    expect((await stored(gone))?.lostMs).to.be.a('number');
    expect((await stored(back))?.lostMs ?? null).to.equal(null);
  });

  it('loses no node that another replica hears, and then it does', async () => {
    const nodeId = await node('Heard elsewhere');
    const [here, there] = [await world.restartFleet(), await world.restartFleet()];
    here.heard(nodeId, beat());
    await world.passTime(40_000);
    there.heard(nodeId, beat());
    await there.flush();
    const lost: string[] = [];
    here.onLost((lostId) => void lost.push(lostId));
    await world.passTime(30_000);
    await here.settled();
    expect(lost).not.to.include(nodeId);
    expect(here.isLive(nodeId)).to.equal(true);
    await there.close();
    await world.passTime(40_000);
    await here.close();
    expect(lost).to.include(nodeId);
  });

  it('knows a node that another replica enrolled, and what became of it there', async () => {
    const here = await world.restartFleet();
    const nodeId = await node('Enrolled elsewhere');
    expect(here.standingOf(nodeId)).to.equal(null);
    await here.refresh(nodeId);
    expect(here.standingOf(nodeId)).to.equal('enrolled');
    await here.refresh('n-nobody');
    expect(here.standingOf('n-nobody')).to.equal(null);
    await here.close();
  });

  it('loses a node again after a restart when the work that its loss asks for failed', async () => {
    const nodeId = await node('Stubborn');
    const failures: unknown[] = [];
    const first = await world.restartFleet((_, cause) => failures.push(cause));
    first.onLost(async (lost) => {
      if (lost === nodeId) throw new Error('the database went away');
    });
    first.heard(nodeId, beat());
    await first.flush();
    await world.passTime(61_000);
    await first.close();
    expect(failures).to.have.length(1);
    const second = await world.restartFleet();
    const loss = lossOf(nodeId, second);
    await world.passTime(61_000);
    await loss;
    await second.close();
  });
});
