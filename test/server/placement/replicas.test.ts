// Two replicas over one database: streams, memory and clock are each one's own.
import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState, JobState } from '#gen/gapjunction/job/v1/job_pb';
import type { ReceivedOrder } from '../../fakes/scripted-node.ts';
import {
  earnings,
  failuresOf,
  onEachWorld,
  type JobMessage,
  type Replica,
  type WorkNode,
  type WorkWorld,
} from '../work-world.ts';

const isAcknowledged = ({ attempts }: JobMessage) =>
  attempts?.at(-1)?.state === AttemptState.ACKNOWLEDGED;

onEachWorld('two replicas', (openWorld) => {
  let world: WorkWorld;
  let other: Replica;
  before(async () => {
    world = await openWorld();
    other = await world.openReplica();
  });
  afterEach(async () => {
    world.announcementBus.isCut = false;
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  /** Five sweeps: one of them looks for what announcements did not tell. */
  async function sweepUntilItLooks({ placement }: Pick<Replica, 'placement'>): Promise<void> {
    for (let sweeps = 0; sweeps < 5; sweeps++) await placement.sweep();
  }

  it('place what the other one queued, and a node that moves is sent what it has not acknowledged', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    const moved = world.sameNode(node, other);
    moved.connect(1);
    const again = await moved.nextOrder();
    expect(again.taskId).to.deep.equal(order.taskId);
    expect(await node.ended()).to.include({ code: 'ABORTED', reason: 'SUPERSEDED' });
    moved.acknowledge(again);
    await client.until(jobId, isAcknowledged);
    await moved.complete(again);
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);

    const next = await client.submit();
    moved.offer(1);
    await moved.complete(await moved.nextOrder());
    expect((await client.outcome(next.jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
  });

  it('find a newer stream of a node though its announcement was lost', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    await client.submit();
    await node.complete(await node.nextOrder());
    world.announcementBus.isCut = true;
    const moved = world.sameNode(node, other);
    moved.connect(1);
    await client.submit();
    // Queued at the first replica, which still has the older stream's offer of none.
    await other.placement.sweep();
    await moved.complete(await moved.nextOrder());
    await sweepUntilItLooks(world);
    expect(await node.ended()).to.have.property('reason', 'SUPERSEDED');
  });

  it('that sweep at the same moment end each lease once', async () => {
    const client = await world.client();
    const nodes = [await world.node(), await world.node(other)];
    const jobs = [];
    for (let count = 0; count < 8; count++) jobs.push(await client.submit());
    for (const node of nodes) node.connect(4);
    for (let count = 0; count < 4; count++) for (const node of nodes) await node.nextOrder();
    await Promise.all([world.passTime(5_100), other.placement.sweep()]);
    await Promise.all([world.placement.sweep(), other.placement.sweep()]);
    for (const { jobId } of jobs) {
      expect(failuresOf(await client.job(jobId))).to.deep.equal(['NOT_ACKNOWLEDGED']);
    }
    expect(world.failures).to.deep.equal([]);
  });

  it('tell a node what the other one ended', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    node.acknowledge(order);
    await client.until(jobId, isAcknowledged);
    node.offer(0);
    await sweepUntilItLooks(other);
    // Its beats come to the other replica, and do not name the attempt.
    world.fleet.beat(node.nodeId, []);
    world.fleet.beat(node.nodeId, []);
    expect(await node.nextCancel()).to.equal(order.order.attemptId);
    expect(failuresOf(await client.job(jobId))).to.deep.equal(['ATTEMPT_MISSING']);
  });

  it('tell a node what the other one ended, though its announcement was lost', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    node.acknowledge(order);
    await client.until(jobId, isAcknowledged);
    node.offer(0);
    world.announcementBus.isCut = true;
    const { attemptId } = order.order;
    const attempt = { nodeId: node.nodeId, jobId, attemptId };
    await other.placement.leases.fail([{ ...attempt, failure: 'ATTEMPT_MISSING' }]);
    await sweepUntilItLooks(world);
    expect(await node.nextCancel()).to.equal(attemptId);
  });

  it('remember what is over without ending anything by that', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    node.acknowledge(order);
    await client.until(jobId, isAcknowledged);
    await sweepUntilItLooks(other);
    await node.complete(order);
    world.fleet.beat(node.nodeId, []);
    world.fleet.beat(node.nodeId, []);
    await other.placement.sweep();
    const { job } = await client.outcome(jobId);
    expect(failuresOf(job)).to.deep.equal([]);
    expect(job?.end).to.equal(JobEnd.SUCCEEDED);
  });

  it('that are told the same receipt at once pay it once, and answer one signature', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    const receipt = await node.receipt(order);
    const answers = await Promise.all([
      node.handIn(order, receipt),
      world.sameNode(node, other).handIn(order, receipt),
      node.handIn(order, receipt),
    ]);
    const [first, ...rest] = answers.map((settlement) => settlement?.signature);
    expect(first).to.be.instanceOf(Uint8Array);
    for (const signature of rest) expect(signature).to.deep.equal(first);
    const { bill } = await client.outcome(jobId);
    expect(bill?.settlement?.signature).to.deep.equal(first);
  });

  it('that stood still for a minute give no work to nodes that went to the other', async () => {
    const [client, node] = [await world.client(), await world.node(other)];
    node.connect(1);
    const first = await client.submit();
    const order = await node.nextOrder();
    node.acknowledge(order);
    await client.until(first.jobId, isAcknowledged);
    node.offer(1);

    other.clock.standStill(60_000);
    await client.submit();
    expect(await node.ended()).to.include({ code: 'UNAVAILABLE', reason: 'REPLICA_STOOD_STILL' });
    const moved = world.sameNode(node);
    moved.connect(1);
    await moved.complete(await moved.nextOrder());
    // What it was running before goes on: the lease is the database's.
    expect((await client.job(first.jobId)).state).to.equal(JobState.RUNNING);
    await moved.complete(order);
    expect((await client.outcome(first.jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
  });

  it('do not end what was acknowledged elsewhere while one of them stood still', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    await world.passTime(3_000);
    const moved = world.sameNode(node, other);
    moved.connect(1);
    moved.acknowledge(await moved.nextOrder());
    await client.until(jobId, isAcknowledged);
    // As it was listed before the pause: not acknowledged, and overdue.
    const { attemptId } = order.order;
    await world.placement.leases.expire([{ nodeId: node.nodeId, jobId, attemptId }]);
    await world.passTime(3_000);
    expect((await client.job(jobId)).state).to.equal(JobState.RUNNING);
    await moved.complete(order);
    expect(failuresOf((await client.outcome(jobId)).job)).to.deep.equal([]);
  });

  it('lose no node that another one hears', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    node.acknowledge(order);
    await client.until(jobId, isAcknowledged);
    await world.heard(node.nodeId);
    await world.fleet.lose(node.nodeId);
    expect((await client.job(jobId)).state).to.equal(JobState.RUNNING);
    await world.passTime(61_000);
    await world.fleet.lose(node.nodeId);
    expect(failuresOf(await client.job(jobId))).to.deep.equal(['NODE_LOST']);
  });

  it('with nodes at both, that fail, and move, and sweeps all the while: each job ends once, and the books are even', async () => {
    const client = await world.client();
    const moduleDigest = await client.register();
    const nodes = [await world.node(), await world.node(other), await world.node(other)];
    let orders = 0;
    const run = (node: WorkNode) => (received: ReceivedOrder) =>
      ++orders % 4 === 0
        ? node.complete(received, { end: JobEnd.NODE_FAULT, fuel: 0n })
        : node.complete(received, { output: Buffer.from(received.order.jobId) });
    for (const node of nodes) {
      node.connect(3);
      void node.serve(3, run(node));
    }
    const over = new AbortController();
    const sweeping = (async () => {
      while (!over.signal.aborted)
        await Promise.all([world.placement.sweep(), other.placement.sweep()]);
    })();
    const outcomes = await Promise.all(
      Array.from({ length: 24 }, async (_, index) => {
        const { jobId } = await client.submit({ moduleDigest, priority: index % 10 });
        if (index % 7 === 0) await world.jobs.cancelJob({ jobId } as never, client.context);
        if (index === 12) {
          const moved = world.sameNode(nodes[0]!, other);
          moved.connect(3);
          void moved.serve(3, run(moved));
        }
        return client.outcome(jobId);
      }),
    );
    over.abort();
    await sweeping;
    expect(outcomes.every(({ job }) => job?.state === JobState.ENDED)).to.equal(true);
    expect((await client.balance()).heldMicrocents).to.equal(0n);
    const paid = outcomes.filter(({ bill }) => bill !== undefined).length;
    const settled = await Promise.all(nodes.map((node) => earnings(world, node)));
    expect(settled.reduce((sum, { settledJobs }) => sum + settledJobs, 0n)).to.equal(BigInt(paid));
    expect(world.failures).to.deep.equal([]);
  });
});
