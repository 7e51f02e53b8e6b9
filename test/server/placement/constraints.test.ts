import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import { JobState } from '#gen/gapjunction/job/v1/job_pb';
import { findNode } from '../../../server/nodes/node-store.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { onEachWorld, type WorkWorld } from '../work-world.ts';

onEachWorld("a job's constraints", (openWorld) => {
  let world: WorkWorld;
  before(async () => {
    world = await openWorld();
  });
  afterEach(() => world.reset());
  after(() => world.close());

  it('keep it waiting until a node meets them, and hold up nobody behind it', async () => {
    const [client, plain] = [await world.client(), await world.node()];
    plain.introduce({ labels: { gpu: 'no' }, isolationLevel: IsolationLevel.NAMESPACES });
    plain.connect(1);
    const picky = await client.submit({ constraints: { labels: { gpu: 'yes' } } });
    const modest = await client.submit();
    await plain.complete(await plain.nextOrder());
    expect((await client.outcome(modest.jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
    plain.offer(1);
    await world.placement.sweep();
    expect((await client.job(picky.jobId)).state).to.equal(JobState.QUEUED);

    const gpu = await world.node();
    gpu.introduce({ labels: { gpu: 'yes', zone: 'a' } });
    gpu.connect(1);
    await gpu.complete(await gpu.nextOrder());
    const { job } = await client.outcome(picky.jobId);
    expect(job?.attempts?.map(({ nodeId }) => nodeId)).to.deep.equal([gpu.nodeId]);
    expect(job?.constraints?.labels).to.deep.equal({ gpu: 'yes' });
  });

  it('are met by what a node said first: one that changes its labels as it likes writes nothing', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.introduce({ labels: { gpu: 'no' } });
    node.connect(1);
    node.introduce({ labels: { gpu: 'yes' } });
    const picky = await client.submit({ constraints: { labels: { gpu: 'yes' } } });
    const modest = await client.submit();
    await node.complete(await node.nextOrder());
    expect((await client.outcome(modest.jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
    node.offer(1);
    await world.placement.sweep();
    expect((await client.job(picky.jobId)).state).to.equal(JobState.QUEUED);
  });

  it('on isolation are met by nothing less', async () => {
    const [client, process, jail] = [await world.client(), await world.node(), await world.node()];
    process.connect(1);
    const constraints = { isolationLevel: IsolationLevel.NAMESPACES };
    const { jobId } = await client.submit({ constraints });
    await world.placement.sweep();
    expect((await client.job(jobId)).state).to.equal(JobState.QUEUED);
    jail.introduce({ isolationLevel: IsolationLevel.NAMESPACES });
    jail.connect(1);
    await jail.complete(await jail.nextOrder());
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
    expect(process.waitingOrders).to.equal(0);
    // Written beside the work, for operators to see.
    const stored = () => world.store.read((em) => findNode(em, jail.nodeId));
    while ((await stored())?.isolationLevel !== 'NAMESPACES');
  });

  it('that no node meets end the wait when the queue timeout is over', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const constraints = { labels: { gpu: 'yes' } };
    const { jobId } = await client.submit({ constraints, queueTimeoutMs: 5_000n });
    await world.passTime(6_000);
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.QUEUE_TIMEOUT);
  });

  it('belong to the body of a request: another priority, label or timeout is another job', async () => {
    const client = await world.client();
    const constraints = { labels: { a: '1', b: '2' } };
    const spec = { priority: 3, constraints, totalTimeoutMs: 9_000n };
    const { jobId } = await client.submit(spec, 'same');
    const again = await client.submit(
      { ...spec, constraints: { labels: { b: '2', a: '1' } } },
      'same',
    );
    expect(again.jobId).to.equal(jobId);
    expect(again).to.include({ priority: 3, totalTimeoutMs: 9_000n, queueTimeoutMs: 3_600_000n });
    for (const change of [
      { priority: 4 },
      { constraints: { labels: { a: '1', b: '3' } } },
      { constraints: { ...constraints, isolationLevel: IsolationLevel.PROCESS } },
      { queueTimeoutMs: 1n },
      { totalTimeoutMs: 0n },
    ]) {
      await expectRefusal(
        client.submit({ ...spec, ...change }, 'same'),
        'ALREADY_EXISTS',
        'REQUEST_ID_REUSED',
      );
    }
  });

  it('travel beside the request id of the call that submitted it, for logs on both sides', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    await client.submit();
    expect((await node.nextOrder()).requestId).to.equal(client.context.requestId);
  });
});
