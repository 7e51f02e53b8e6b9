import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState, JobState } from '#gen/gapjunction/job/v1/job_pb';
import { NOT_ACKNOWLEDGED } from '../../../server/jobs/jobs.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { failuresOf, onEachWorld, type WorkWorld } from '../work-world.ts';

onEachWorld('a job whose nodes fail it', (openWorld) => {
  let world: WorkWorld;
  before(async () => {
    world = await openWorld();
  });
  afterEach(async () => {
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  it('gets no second order to a node that acknowledges none, until that opens another stream', async () => {
    const [client, silent] = [await world.client(), await world.node()];
    silent.connect(2);
    const { jobId } = await client.submit();
    const first = await silent.nextOrder();
    await world.passTime(5_100);
    expect(await silent.nextCancel()).to.equal(first.order.attemptId);
    const end = await silent.ended();
    expect(end).to.include({ code: 'UNAVAILABLE', reason: 'ORDER_UNACKNOWLEDGED' });
    expect((await client.job(jobId)).state).to.equal(JobState.QUEUED);
    silent.connect(1);
    await silent.complete(await silent.nextOrder());
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
  });

  it('does not lose a try to an order that was never acknowledged, but is leased ten times at most', async () => {
    const [client, node] = [await world.client(), await world.node()];
    const before = await client.balance();
    const { jobId } = await client.submit();
    for (let lease = 1; lease <= 10; lease++) {
      expect((await client.job(jobId)).state).to.equal(JobState.QUEUED);
      node.connect(1);
      await node.nextOrder();
      await world.passTime(5_100);
      await node.ended();
    }
    const { job } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.NODE_FAULT);
    expect(job?.endDetail).to.equal(NOT_ACKNOWLEDGED);
    expect(failuresOf(job)).to.have.length(10);
    expect(await client.balance()).to.deep.equal(before);
  });

  it("is not kept going round by a node that says its order was not acknowledged, in the control plane's words", async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    for (let attempt = 1; attempt <= 3; attempt++) {
      const fault = { end: JobEnd.NODE_FAULT, endDetail: NOT_ACKNOWLEDGED, fuel: 0n };
      await node.complete(await node.nextOrder(), fault);
      node.offer(1);
    }
    const { job } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.NODE_FAULT);
    expect(failuresOf(job)).to.have.length(3);
  });

  it('is tried on three nodes where there are three', async () => {
    const client = await world.client();
    const nodes = [await world.node(), await world.node(), await world.node()];
    const { jobId } = await client.submit();
    for (const node of nodes) node.connect(1);
    const seen = new Set<string>();
    const serving = nodes.map(async (node) => {
      const order = await node.nextOrder();
      seen.add(node.nodeId);
      await node.complete(order, { end: JobEnd.NODE_FAULT, endDetail: 'broken', fuel: 0n });
      node.offer(1);
    });
    await Promise.all(serving);
    const { job } = await client.outcome(jobId);
    expect(seen.size).to.equal(3);
    expect(new Set(job?.attempts?.map(({ nodeId }) => nodeId)).size).to.equal(3);
    expect(job?.end).to.equal(JobEnd.NODE_FAULT);
  });

  it('is not acknowledged nor completed by a node that was not given it', async () => {
    const [client, node, thief] = [await world.client(), await world.node(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    thief.connect(0);
    thief.acknowledge(order);
    expect(await thief.nextCancel()).to.equal(order.order.attemptId);
    await expectRefusal(thief.complete(order), 'NOT_FOUND', 'TASK_UNKNOWN');
    await node.complete(order);
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
  });

  it('is not paid to the node that answers after its lease', async () => {
    const [client, late, next] = [await world.client(), await world.node(), await world.node()];
    late.connect(1);
    const { jobId } = await client.submit();
    const order = await late.nextOrder();
    late.acknowledge(order);
    await client.until(jobId, ({ attempts }) => attempts?.[0]?.state === AttemptState.ACKNOWLEDGED);
    await world.passTime(700_000);
    await expectRefusal(late.complete(order), 'FAILED_PRECONDITION', 'ATTEMPT_STALE');
    next.connect(1);
    await next.complete(await next.nextOrder());
    const { job } = await client.outcome(jobId);
    expect(failuresOf(job)).to.deep.equal(['LEASE_EXPIRED']);
  });
});
