import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState, JobState } from '#gen/gapjunction/job/v1/job_pb';
import { failuresOf, onEachWorld, type WorkWorld, type JobMessage } from '../work-world.ts';

const isAcknowledged = ({ attempts }: JobMessage) =>
  attempts?.at(-1)?.state === AttemptState.ACKNOWLEDGED;

onEachWorld('the timeouts of a job', (openWorld) => {
  let world: WorkWorld;
  before(async () => {
    world = await openWorld();
  });
  afterEach(async () => {
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  it('are its own: one ends in the queue, free of charge, while another waits on', async () => {
    const client = await world.client();
    const before = await client.balance();
    const short = await client.submit({ queueTimeoutMs: 60_000n });
    const long = await client.submit();
    expect(long.queueTimeoutMs).to.equal(3_600_000n);
    await world.passTime(61_000);
    expect((await client.outcome(short.jobId)).job?.end).to.equal(JobEnd.QUEUE_TIMEOUT);
    expect((await client.job(long.jobId)).state).to.equal(JobState.QUEUED);
    await world.jobs.cancelJob({ jobId: long.jobId } as never, client.context);
    expect(await client.balance()).to.deep.equal(before);
  });

  it('in the queue count anew when a node failed it', async () => {
    const [client, node] = [await world.client(), await world.node()];
    const { jobId } = await client.submit({ queueTimeoutMs: 60_000n });
    await world.passTime(40_000);
    node.connect(1);
    await node.complete(await node.nextOrder(), { end: JobEnd.NODE_FAULT, fuel: 0n });
    await world.passTime(40_000);
    expect((await client.job(jobId)).state).to.equal(JobState.QUEUED);
    await world.passTime(21_000);
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.QUEUE_TIMEOUT);
  });

  it('in all stop one that runs, which is told to its node and charged what it burnt', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit({ totalTimeoutMs: 100_000n });
    const order = await node.nextOrder();
    node.acknowledge(order);
    await client.until(jobId, isAcknowledged);
    await world.passTime(101_000);
    expect(await node.nextCancel()).to.equal(order.order.attemptId);
    const running = await client.job(jobId);
    expect(running.cancelRequested).to.equal(true);
    expect(running.cancelReason).to.equal('TOTAL_TIMEOUT');
    await node.complete(order, {
      end: JobEnd.CANCELLED,
      fuel: 500n,
      stopStateDigest: new Uint8Array(32),
    });
    const { job, bill } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.CANCELLED);
    expect(job?.cancelReason).to.equal('TOTAL_TIMEOUT');
    expect(job?.fuel).to.equal(500n);
    expect(bill).not.to.equal(undefined);
  });

  it('in all end one that waits for its next try, and no node is given it any more', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit({ totalTimeoutMs: 100_000n });
    await node.complete(await node.nextOrder(), {
      end: JobEnd.NODE_FAULT,
      endDetail: 'broken',
      fuel: 0n,
    });
    await world.passTime(101_000);
    node.offer(1);
    const { job } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.QUEUE_TIMEOUT);
    expect(failuresOf(job)).to.deep.equal(['broken']);
    expect(node.waitingOrders).to.equal(0);
  });
});
