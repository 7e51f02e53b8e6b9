import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState, JobState } from '#gen/gapjunction/job/v1/job_pb';
import { expectRefusal } from '../expect-refusal.ts';
import { onEachWorld, type WorkWorld, type JobMessage, type TestClient } from '../work-world.ts';

const isAcknowledged = ({ attempts }: JobMessage) =>
  attempts?.at(-1)?.state === AttemptState.ACKNOWLEDGED;

onEachWorld('cancelling a job', (openWorld) => {
  let world: WorkWorld;
  let client: TestClient;
  before(async () => {
    world = await openWorld();
  });
  beforeEach(async () => {
    client = await world.client();
  });
  afterEach(async () => {
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  const cancel = async (jobId: string): Promise<JobMessage> =>
    (await world.jobs.cancelJob({ jobId } as never, client.context)).job ?? {};

  const cancelledReceipt = {
    end: JobEnd.CANCELLED,
    fuel: 3_000_000n,
    stopStateDigest: new Uint8Array(32),
  };

  it('that waits ends it at once, and gives all of its hold back', async () => {
    const before = await client.balance();
    const { jobId } = await client.submit();
    const job = await cancel(jobId);
    expect(job.state).to.equal(JobState.ENDED);
    expect(job.end).to.equal(JobEnd.CANCELLED);
    expect(await client.balance()).to.deep.equal(before);
    expect(await cancel(jobId)).to.deep.equal(job);
    const node = await world.node();
    node.connect(1);
    await world.placement.sweep();
    expect(node.waitingOrders).to.equal(0);
  });

  it('that runs is told to its node, again after it reconnects, and charged what it burnt', async () => {
    const node = await world.node();
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    node.acknowledge(order);
    await client.until(jobId, isAcknowledged);
    expect((await cancel(jobId)).cancelRequested).to.equal(true);
    expect(await node.nextCancel()).to.equal(order.order.attemptId);
    await world.placement.sweep();
    expect(await node.nextCancel()).to.equal(order.order.attemptId);
    await node.disconnect();
    node.connect(0);
    expect(await node.nextCancel()).to.equal(order.order.attemptId);

    await node.complete(order, cancelledReceipt);
    const { job, bill } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.CANCELLED);
    expect(job?.chargeMicrocents).to.equal(107n);
    expect(bill).not.to.equal(undefined);
  });

  it('between order and acknowledgement reaches the node with the acknowledgement', async () => {
    const node = await world.node();
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    await cancel(jobId);
    node.acknowledge(order);
    expect(await node.nextCancel()).to.equal(order.order.attemptId);
  });

  it('whose node is lost then ends it, free of charge, instead of trying another node', async () => {
    const before = await client.balance();
    const node = await world.node();
    node.connect(1);
    const { jobId } = await client.submit();
    node.acknowledge(await node.nextOrder());
    await client.until(jobId, isAcknowledged);
    await cancel(jobId);
    await world.fleet.lose(node.nodeId);
    const { job } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.CANCELLED);
    expect(job?.attempts).to.have.length(1);
    expect(await client.balance()).to.deep.equal(before);
  });

  it('that was faster than the cancel leaves it as it ended', async () => {
    const node = await world.node();
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    node.acknowledge(order);
    await client.until(jobId, isAcknowledged);
    await cancel(jobId);
    await node.complete(order);
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
    expect((await cancel(jobId)).end).to.equal(JobEnd.SUCCEEDED);
  });

  it('of another client finds none, and cancels nothing', async () => {
    const { jobId } = await client.submit();
    const stranger = await world.client();
    await expectRefusal(
      world.jobs.cancelJob({ jobId } as never, stranger.context),
      'NOT_FOUND',
      'NOT_FOUND',
    );
    expect((await client.job(jobId)).state).to.equal(JobState.QUEUED);
  });
});
