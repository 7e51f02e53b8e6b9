import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState, JobState } from '#gen/gapjunction/job/v1/job_pb';
import { expectRefusal } from '../expect-refusal.ts';
import { onEachWorld, LOST_PERIOD_MS, type WorkWorld, type JobMessage } from '../work-world.ts';

const failures = ({ attempts }: JobMessage) =>
  (attempts ?? []).flatMap(({ failure }) => (failure ? [failure] : []));
const isAcknowledged = ({ attempts }: JobMessage) =>
  attempts?.at(-1)?.state === AttemptState.ACKNOWLEDGED;
const isQueued = ({ state }: JobMessage) => state === JobState.QUEUED;

onEachWorld('a lease', (openWorld) => {
  let world: WorkWorld;
  before(async () => {
    world = await openWorld();
  });
  afterEach(async () => {
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  it('goes to another node when its order is not acknowledged in time; the late node is told to stop', async () => {
    const [client, first] = [await world.client(), await world.node()];
    first.connect(1);
    const { jobId } = await client.submit();
    const late = await first.nextOrder();
    const second = await world.node();
    second.connect(1);
    await world.passTime(5_100);
    const order = await second.nextOrder();
    first.acknowledge(late);
    expect(await first.nextCancel()).to.equal(late.order.attemptId);
    await expectRefusal(first.complete(late), 'FAILED_PRECONDITION', 'ATTEMPT_STALE');

    await second.complete(order);
    const { job } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.SUCCEEDED);
    expect(failures(job ?? {})).to.deep.equal(['NOT_ACKNOWLEDGED']);
    expect(order.order.seed).to.deep.equal(late.order.seed);
  });

  it('ends when its node is lost, and the job is done and paid once, by the next', async () => {
    const [client, first, second] = [await world.client(), await world.node(), await world.node()];
    first.connect(1);
    const { jobId } = await client.submit();
    const lost = await first.nextOrder();
    first.acknowledge(lost);
    await client.until(jobId, isAcknowledged);
    await world.fleet.lose(first.nodeId);
    second.connect(1);
    const order = await second.nextOrder();
    await expectRefusal(first.complete(lost), 'FAILED_PRECONDITION', 'ATTEMPT_STALE');
    await second.complete(order);
    const { job } = await client.outcome(jobId);
    expect(failures(job ?? {})).to.deep.equal(['NODE_LOST']);
    const { heldMicrocents, availableMicrocents } = await client.balance();
    expect(heldMicrocents).to.equal(0n);
    expect(10n ** 9n - availableMicrocents).to.equal(job?.chargeMicrocents);
  });

  it('ends when its node is revoked', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    node.acknowledge(await node.nextOrder());
    await client.until(jobId, isAcknowledged);
    await world.fleet.revoke(node.nodeId);
    expect(failures(await client.job(jobId))).to.deep.equal(['NODE_REVOKED']);
  });

  it('ends when two beats in a row do not name its attempt, and not after one', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const { order } = await node.nextOrder();
    node.acknowledge({ order });
    await client.until(jobId, isAcknowledged);
    world.fleet.beat(node.nodeId, []);
    world.fleet.beat(node.nodeId, [order.attemptId]);
    world.fleet.beat(node.nodeId, []);
    expect((await client.job(jobId)).state).to.equal(JobState.RUNNING);
    node.offer(0);
    world.fleet.beat(node.nodeId, []);
    const job = await client.until(jobId, isQueued);
    expect(failures(job)).to.deep.equal(['ATTEMPT_MISSING']);
  });

  it('ends by itself when a node holds on for longer than its deadline and all transfers take', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit({ limits: { deadlineEpochs: 100 } });
    node.acknowledge(await node.nextOrder());
    await client.until(jobId, isAcknowledged);
    await world.passTime(290_000);
    expect((await client.job(jobId)).state).to.equal(JobState.RUNNING);
    await world.passTime(12_000);
    expect(failures(await client.job(jobId))).to.deep.equal(['LEASE_EXPIRED']);
  });

  it('that fails three times ends the job without a charge, its hold given back', async () => {
    const [client, node] = [await world.client(), await world.node()];
    const before = await client.balance();
    node.connect(1);
    const { jobId } = await client.submit();
    for (let attempt = 1; attempt <= 3; attempt++) {
      const order = await node.nextOrder();
      node.acknowledge(order);
      const settlement = await node.complete(order, {
        end: JobEnd.NODE_FAULT,
        endDetail: `fault ${attempt}`,
        fuel: 0n,
      });
      expect(settlement).to.equal(undefined);
      node.offer(1);
    }
    const { job, bill } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.NODE_FAULT);
    expect(job?.endDetail).to.equal('fault 3');
    expect(failures(job ?? {})).to.deep.equal(['fault 1', 'fault 2', 'fault 3']);
    expect(bill).to.equal(undefined);
    expect(await client.balance()).to.deep.equal(before);
    await expectRefusal(
      world.jobs.getBill({ jobId } as never, client.context),
      'FAILED_PRECONDITION',
      'NO_RECEIPT',
    );
  });

  it('is not given to a node on which the job failed while another works, however busy', async () => {
    const [client, first, second] = [await world.client(), await world.node(), await world.node()];
    first.connect(1);
    second.connect(0);
    const { jobId } = await client.submit();
    const order = await first.nextOrder();
    await first.complete(order, { end: JobEnd.NODE_FAULT, fuel: 0n });
    first.offer(1);
    await world.placement.sweep();
    expect((await client.job(jobId)).state).to.equal(JobState.QUEUED);
    expect(first.waitingOrders).to.equal(0);
    second.offer(1);
    await second.complete(await second.nextOrder());
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
  });

  it('of a queued job is not waited for longer than the queue allows', async () => {
    const client = await world.client();
    const before = await client.balance();
    const { jobId } = await client.submit();
    await world.passTime(3_600_500);
    const { job, bill } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.QUEUE_TIMEOUT);
    expect(bill).to.equal(undefined);
    expect(await client.balance()).to.deep.equal(before);
  });

  it('outlives its stream: the node comes back, is sent what it may have lost, and completes', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    await node.disconnect();
    await world.passTime(3_000);
    node.connect(1);
    const again = await node.nextOrder();
    expect(again.taskId).to.deep.equal(order.taskId);
    // 5 s from when it was sent again, not from the first time.
    await world.passTime(3_000);
    node.acknowledge(again);
    await client.until(jobId, isAcknowledged);
    await node.complete(order);
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
  });

  it('survives a restart of the server: no lease ends for a lost-period, and the job is paid once', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    node.acknowledge(order);
    await client.until(jobId, isAcknowledged);
    const other = await client.submit();
    await node.disconnect();
    await world.restartPlacement();
    world.fleet.live.delete(node.nodeId);
    await world.passTime(LOST_PERIOD_MS - 5_000);
    expect((await client.job(jobId)).state).to.equal(JobState.RUNNING);

    world.fleet.live.add(node.nodeId);
    node.connect(0);
    await node.complete(order);
    await node.complete(order);
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
    node.offer(1);
    expect((await node.nextOrder()).order.jobId).to.equal(other.jobId);
  });

  it('of a node that does not come back after a restart ends when the lost-period has passed', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    node.acknowledge(await node.nextOrder());
    await client.until(jobId, isAcknowledged);
    await node.disconnect();
    await world.restartPlacement();
    world.fleet.live.delete(node.nodeId);
    for (let sweeps = 0; sweeps < 10; sweeps++) await world.passTime(LOST_PERIOD_MS / 6);
    expect(failures(await client.job(jobId))).to.deep.equal(['NODE_LOST']);
  });

  it('is held over one Work stream a node: the newer one takes over', async () => {
    const client = await world.client();
    const node = await world.node();
    node.connect(1);
    // Its stream is open, and so the older one, once an order came by it.
    await client.submit();
    await node.complete(await node.nextOrder());
    const newer = world.sameNode(node);
    newer.connect(1);
    expect(await node.ended()).to.have.property('reason', 'SUPERSEDED');
    const { jobId } = await client.submit();
    await newer.complete(await newer.nextOrder());
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
  });
});
