// The database goes away in the moment between an acknowledgement and its being written.
import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';
import { systemClock } from '../../../server/clock.ts';
import { judgeFleet } from '../../../server/nodes/losses.ts';
import { findNode } from '../../../server/nodes/node-store.ts';
import { openStore } from '../../../server/store/open.ts';
import { AwayStore } from '../../fakes/away-store.ts';
import { storeTemplate } from '../../fakes/store-template.ts';
import { failuresOf, LOST_PERIOD_MS, WorkWorld, type JobMessage } from '../work-world.ts';

const OUTAGE_MS = 30_000;
/** A lease's whole time. */
const LONG_OUTAGE_MS = 700_000;

const isAcknowledged = ({ attempts }: JobMessage) =>
  attempts?.at(-1)?.state === AttemptState.ACKNOWLEDGED;

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe('a database that goes away', () => {
  let store: AwayStore;
  let world: WorkWorld;
  before(async () => {
    const template = await storeTemplate();
    store = new AwayStore(
      await openStore({ kind: 'memory' }, { clock: systemClock, exclusive: true, template }),
    );
    world = await WorkWorld.open({ store });
  });
  afterEach(async () => {
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  async function ordered() {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    return { client, node, jobId, order: await node.nextOrder() };
  }

  /** Its clock goes on while nobody reaches it; sweeps find out that it is away. */
  async function passOutage(ms = OUTAGE_MS): Promise<void> {
    store.comeBack();
    const passing = world.passTime(ms, { isJudged: false });
    store.goAway();
    await passing;
    await world.placement.sweep();
  }

  it('re-runs no job whose order was acknowledged before: that is written when it is back', async () => {
    const { client, node, jobId, order } = await ordered();
    store.goAway();
    node.acknowledge(order);
    await store.refusedWrite;
    await passOutage();
    store.comeBack();
    await world.placement.sweep();
    await client.until(jobId, isAcknowledged);
    await node.complete(order);
    const { job } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.SUCCEEDED);
    expect(failuresOf(job)).to.deep.equal([]);
  });

  it('gives orders their time once more: one that is acknowledged after it is not re-run', async () => {
    const { client, node, jobId, order } = await ordered();
    store.goAway();
    await passOutage();
    store.comeBack();
    await world.placement.sweep();
    node.acknowledge(order);
    await client.until(jobId, isAcknowledged);
    await node.complete(order);
    expect(failuresOf((await client.outcome(jobId)).job)).to.deep.equal([]);
  });

  it('does so once: an order that nobody acknowledges goes to another node 5 s later', async () => {
    const { client, node, jobId, order } = await ordered();
    store.goAway();
    await passOutage();
    store.comeBack();
    await world.placement.sweep();
    expect(failuresOf(await client.job(jobId))).to.deep.equal([]);
    await world.passTime(5_100);
    expect(await node.nextCancel()).to.equal(order.order.attemptId);
    expect(failuresOf(await client.job(jobId))).to.deep.equal(['NOT_ACKNOWLEDGED']);
  });

  /** A job whose lease ended while the database was away, as the first sweep after it sees it. */
  async function overdue() {
    const { client, node, jobId, order } = await ordered();
    node.acknowledge(order);
    await client.until(jobId, isAcknowledged);
    store.goAway();
    await passOutage(LONG_OUTAGE_MS);
    store.comeBack();
    await world.placement.sweep();
    expect(failuresOf(await client.job(jobId))).to.deep.equal([]);
    return { client, node, jobId, order };
  }

  it('shows operators what a node said of itself meanwhile, once it is back', async () => {
    const { node } = await ordered();
    store.goAway();
    node.introduce({ isolationLevel: IsolationLevel.NAMESPACES });
    while (!world.failures.some(({ doing }) => doing.includes('introduction'))) {
      await nextTurn();
    }
    store.comeBack();
    // Five sweeps: one of them looks for what was missed.
    for (let sweeps = 0; sweeps < 5; sweeps++) await world.placement.sweep();
    const stored = () => world.store.read((em) => findNode(em, node.nodeId));
    while ((await stored())?.isolationLevel !== 'NAMESPACES') await nextTurn();
  });

  it('takes a receipt that its node could not hand in before its lease ended', async () => {
    const { client, node, jobId, order } = await overdue();
    await node.complete(order);
    const { job } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.SUCCEEDED);
    expect(failuresOf(job)).to.deep.equal([]);
  });

  it('waits a lost-period for that receipt, and then ends the lease', async () => {
    const { client, node, jobId, order } = await overdue();
    await judgeFleet(world.store, { lostPeriodMs: LOST_PERIOD_MS, writtenWithinMs: 2_000 });
    await world.passTime(LOST_PERIOD_MS - 5_000);
    expect(failuresOf(await client.job(jobId))).to.deep.equal([]);
    await world.passTime(5_100);
    expect(await node.nextCancel()).to.equal(order.order.attemptId);
    expect(failuresOf(await client.job(jobId))).to.deep.equal(['LEASE_EXPIRED']);
  });

  it('ends a lease all the same that was over meanwhile: its node is told to stop', async () => {
    const { client, node, jobId, order } = await ordered();
    store.goAway();
    node.acknowledge(order);
    await store.refusedWrite;
    store.comeBack();
    await world.passTime(LONG_OUTAGE_MS);
    expect(await node.nextCancel()).to.equal(order.order.attemptId);
    expect(failuresOf(await client.job(jobId))).to.deep.equal(['LEASE_EXPIRED']);
  });
});
