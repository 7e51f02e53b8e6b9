// Two replicas over one database: what one of them knows, the other acts on.
import { expect } from 'chai';
import { LocalAnnouncements } from '../../../server/jobs/announcements.ts';
import type { Beat } from '../../../server/nodes/beat.ts';
import { Fleet } from '../../../server/nodes/fleet.ts';
import { findNode, setStanding } from '../../../server/nodes/node-store.ts';
import { query } from '../../../server/store/query.ts';
import { onEachStore } from '../../fakes/stores.ts';
import { IdentityWorld } from '../identity-world.ts';

onEachStore('a fleet over two replicas', (store) => {
  let world: IdentityWorld;
  let here: Fleet;
  let there: Fleet;
  before(async () => {
    world = await IdentityWorld.open({ store: store() });
    here = world.fleet;
    there = await world.restartFleet();
  });
  after(async () => {
    await there.close();
    await world.close();
  });

  const beat = (): Beat => ({
    atMs: world.clock.now(),
    grantedIntervalMs: 15_000,
    slots: 1,
    attemptIds: [],
    agentVersion: 'agent 1',
    engineVersion: 'engine 1',
    residentMemoryBytes: 1n,
    fuelSinceStart: 1n,
  });
  const node = async (name: string) => (await world.enrolled(name)).caller.nodeId;
  const stored = (nodeId: string) => world.store.read((em) => findNode(em, nodeId));
  let streams = 0;
  /** A stream that opens at `fleet` and has its first beat accepted. */
  const claim = async (
    fleet: Fleet,
    nodeId: string,
    { firstBeatMs = world.clock.now(), seen = fleet.newestStream(nodeId) } = {},
  ) => {
    const stream = { streamId: Uint8Array.from({ length: 16 }, () => streams + 1), firstBeatMs };
    streams++;
    const isNewest = await fleet.claimStream(nodeId, { stream, seen, grantedIntervalMs: 15_000 });
    if (isNewest) fleet.heard(nodeId, beat());
    return { stream, isNewest };
  };
  const bothSettled = async () => {
    await here.settled();
    await there.settled();
  };

  it('knows a node that the other enrolled as soon as it calls', async () => {
    const nodeId = await node('Enrolled elsewhere');
    expect(there.standingOf(nodeId)).to.equal(null);
    await there.know(nodeId);
    expect(there.standingOf(nodeId)).to.equal('enrolled');
    await there.know('n-nobody');
    expect(there.standingOf('n-nobody')).to.equal(null);
  });

  it('counts the nodes of both when it says how often to beat', async () => {
    const nodeId = await node('Counted');
    await world.liveThrough(2_000, there);
    const before = there.liveCount();
    await claim(here, nodeId);
    await world.liveThrough(2_000, there);
    expect(there.liveCount()).to.equal(before + 1);
    expect(there.liveCount()).to.equal(here.liveCount());
    expect(there.workingNodes()).to.include(nodeId);
  });

  it('loses no node that the other hears, and one that neither hears, once', async () => {
    const nodeId = await node('Moved');
    const lost: string[] = [];
    const ends = [here, there].map((fleet) => fleet.onLost((id) => void lost.push(id)));
    await there.know(nodeId);
    await claim(here, nodeId);
    await world.liveThrough(40_000, there);
    await claim(there, nodeId);
    await world.liveThrough(50_000, there);
    expect(lost).not.to.include(nodeId);
    expect(here.isLive(nodeId)).to.equal(true);
    const before = (await stored(nodeId))!;
    await world.liveThrough(15_000, there);
    await world.liveThrough(2_000, there);
    expect(lost).to.include(nodeId);
    expect([here.isLive(nodeId), there.isLive(nodeId)]).to.deep.equal([false, false]);
    // Both may have done what the loss asks for; one of them wrote it.
    await world.liveThrough(15_000, there);
    expect((await stored(nodeId))?.revision).to.equal(before.revision + 1);
    for (const end of ends) end();
  });

  it('grants a node what the later of two replicas granted, whichever writes last: it is not lost before its time', async () => {
    const nodeId = await node('Heard twice');
    await there.know(nodeId);
    await claim(here, nodeId);
    here.heard(nodeId, { ...beat(), grantedIntervalMs: 15_000 });
    world.clock.advance(100);
    there.heard(nodeId, { ...beat(), grantedIntervalMs: 60_000 });
    await there.flush();
    await here.flush();
    expect((await stored(nodeId))?.lostPeriodMs).to.equal(4 * 60_000);
  });

  it('gives no work to a node from the moment on that the other cordons it, where it is connected', async () => {
    const nodeId = await node('Cordoned elsewhere');
    await there.know(nodeId);
    await claim(there, nodeId);
    await world.store.transaction((em) => setStanding(em, nodeId, 'draining'));
    here.standingChanged(nodeId, 'draining');
    await bothSettled();
    expect(there.standingOf(nodeId)).to.equal('draining');
    expect(there.mayTakeWork(nodeId)).to.equal(false);
    await world.store.transaction((em) => setStanding(em, nodeId, 'enrolled'));
    here.standingChanged(nodeId, 'enrolled');
    await bothSettled();
    expect(there.mayTakeWork(nodeId)).to.equal(true);
  });

  it('learns within seconds what an announcement that was lost would have told', async () => {
    const nodeId = await node('Unannounced');
    await there.know(nodeId);
    await claim(there, nodeId);
    await world.store.transaction((em) => setStanding(em, nodeId, 'cordoned'));
    expect(there.mayTakeWork(nodeId)).to.equal(true);
    await world.liveThrough(2_000, there);
    expect(there.mayTakeWork(nodeId)).to.equal(false);
  });

  it('has the stream whose first beat came last as the newest, on both and after a restart', async () => {
    const nodeId = await node('Newest');
    await there.know(nodeId);
    const first = await claim(here, nodeId);
    await world.passTime(1_000);
    const second = await claim(there, nodeId);
    await bothSettled();
    expect([first.isNewest, second.isNewest]).to.deep.equal([true, true]);
    expect(there.newestStream(nodeId)).to.equal(second.stream);
    expect(here.newestStream(nodeId)).to.deep.equal(second.stream);
    const restarted = await world.restartFleet();
    expect(restarted.newestStream(nodeId)?.streamId).to.deep.equal(
      Buffer.from(second.stream.streamId),
    );
    await restarted.close();
  });

  it('takes a clock that was corrected backwards for no reason to refuse a new stream', async () => {
    const nodeId = await node('Corrected');
    await claim(here, nodeId, { firstBeatMs: world.clock.now() + 40_000 });
    const next = await claim(here, nodeId);
    expect(next.isNewest).to.equal(true);
  });

  it('refuses the first beat of a stream that a younger one overtook', async () => {
    const nodeId = await node('Overtaken');
    await there.know(nodeId);
    const seen = here.newestStream(nodeId);
    const lateMs = world.clock.now();
    await world.passTime(1_000);
    const younger = await claim(there, nodeId);
    const late = await claim(here, nodeId, { firstBeatMs: lateMs, seen });
    expect(late.isNewest).to.equal(false);
    expect(here.newestStream(nodeId)?.streamId).to.deep.equal(Buffer.from(younger.stream.streamId));
  });

  it('lets one of many that open at once win, the same one on both', async () => {
    const nodeId = await node('Crowded');
    await there.know(nodeId);
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => claim(index % 2 === 0 ? here : there, nodeId)),
    );
    await world.liveThrough(2_000, there);
    const [row] = await world.store.read((em) =>
      query<{ id: string }>(
        em,
        `select encode(newest_stream_id, 'hex') as id from node where node_id = $1`,
        [nodeId],
      ),
    );
    for (const fleet of [here, there]) {
      const streamId = fleet.newestStream(nodeId)?.streamId ?? new Uint8Array();
      expect(Buffer.from(streamId).toString('hex')).to.equal(row?.id);
    }
  });

  it('loses nobody for a lost-period after both were without a database for half a minute', async () => {
    const [mine, other] = [await node('Mine'), await node('Other')];
    await claim(here, mine);
    await there.know(other);
    await claim(there, other);
    // Both gone for 30 s: longer than a third of a lost-period.
    await world.passTime(30_000);
    await world.liveThrough(35_000, there);
    expect([here.isLive(mine), there.isLive(other)]).to.deep.equal([true, true]);
    await world.liveThrough(30_000, there);
    await world.liveThrough(2_000, there);
    expect([here.isLive(mine), there.isLive(other)]).to.deep.equal([false, false]);
  });

  it('works without any announcement at all', async () => {
    const nodeId = await node('Deaf');
    const deaf = await Fleet.open({
      store: world.store,
      clock: world.clock,
      announcements: new LocalAnnouncements(),
      baseIntervalMs: 15_000,
      lostAfterIntervals: 4,
      onError: (doing, cause) => {
        throw new Error(doing, { cause });
      },
    });
    const mine = await claim(deaf, nodeId);
    const theirs = await claim(here, nodeId);
    expect(deaf.newestStream(nodeId)).to.equal(mine.stream);
    await world.liveThrough(2_000, deaf);
    expect(deaf.newestStream(nodeId)).to.deep.equal({
      ...theirs.stream,
      streamId: Buffer.from(theirs.stream.streamId),
    });
    await deaf.close();
  });
});
