// Specification 3.5.1, malicious node: it lies about what it did, or about whose work it did.
import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { expectRefusal } from '../server/expect-refusal.ts';
import { onEachWorld, earnings, type WorkWorld } from '../server/work-world.ts';

onEachWorld('threat: a malicious node', (openWorld) => {
  let world: WorkWorld;
  before(async () => {
    world = await openWorld();
  });
  afterEach(async () => {
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  it('reads no blob but those of the orders that it holds', async () => {
    const [client, node, other] = [await world.client(), await world.node(), await world.node()];
    node.connect(1);
    const input = await client.upload(Buffer.from('the input'));
    const secret = await client.upload(Buffer.from('not for the node'));
    await client.submit({ input: { case: 'inputDigest', value: input } });
    const received = await node.nextOrder();
    const { attemptId } = received.order;
    const { leases } = world.placement;
    expect(await leases.mayRead(node.nodeId, attemptId, input)).to.equal(true);
    expect(await leases.mayRead(node.nodeId, attemptId, secret)).to.equal(false);
    expect(await leases.mayRead(other.nodeId, attemptId, input)).to.equal(false);
    expect(await leases.mayUpload(other.nodeId, attemptId)).to.equal(null);
    await node.complete(received);
    expect(await leases.mayRead(node.nodeId, attemptId, input)).to.equal(false);
    expect(await leases.mayUpload(node.nodeId, attemptId)).to.equal(null);
  });

  it('sees another pseudonym of a client than every other node does', async () => {
    const client = await world.client();
    const [first, second] = [await world.node(), await world.node()];
    first.connect(1);
    await client.submit();
    const one = await first.nextOrder();
    second.connect(1);
    await client.submit();
    const two = await second.nextOrder();
    expect(one.order.isolationKey).not.to.deep.equal(two.order.isolationKey);
  });

  it('acknowledges and completes nothing in the name of another', async () => {
    const [client, node, thief] = [await world.client(), await world.node(), await world.node()];
    node.connect(1);
    thief.connect(0);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    thief.acknowledge(order);
    expect(await thief.nextCancel()).to.equal(order.order.attemptId);
    await expectRefusal(thief.complete(order), 'NOT_FOUND', 'TASK_UNKNOWN');
    await node.complete(order);
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
    expect((await earnings(world, thief)).settledJobs).to.equal(0n);
  });
});
