// Specification 3.5.2, resource exhaustion, at the control plane: what a job may take is bounded and paid
// for before it starts. What stops the guest itself is tested in test/sandbox.
import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { saveQuota } from '../../server/clients/quota-store.ts';
import { expectRefusal } from '../server/expect-refusal.ts';
import { onEachWorld, type WorkWorld } from '../server/work-world.ts';

onEachWorld('threat: resource exhaustion', (openWorld) => {
  let world: WorkWorld;
  before(async () => {
    world = await openWorld();
  });
  afterEach(async () => {
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  it('an endless loop costs its client all of its fuel, and the node is paid for it', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId, holdMicrocents } = await client.submit({ limits: { fuel: 50_000_000n } });
    const order = await node.nextOrder();
    await node.complete(order, { end: JobEnd.OUT_OF_FUEL, fuel: 50_000_000n });
    const { job } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.OUT_OF_FUEL);
    // All but the output that it may have had.
    expect(job?.chargeMicrocents).to.equal((holdMicrocents ?? 0n) - 200n);
  });

  it('no job is queued that its client cannot pay in full', async () => {
    const client = await world.client({ microcents: 50_000n });
    await client.submit();
    await client.submit();
    await expectRefusal(client.submit(), 'FAILED_PRECONDITION', 'BALANCE_TOO_LOW');
  });

  it('no job asks for more than anybody may have', async () => {
    const client = await world.client();
    const endless = client.submit({ limits: { fuel: 2n ** 63n - 1n } });
    await expectRefusal(endless, 'INVALID_ARGUMENT', 'LIMIT_EXCEEDED');
    const eternal = client.submit({ limits: { deadlineEpochs: 2 ** 32 - 1 } });
    await expectRefusal(eternal, 'INVALID_ARGUMENT', 'LIMIT_EXCEEDED');
  });

  it('a client that queues all it may keeps no other from queueing, and from being next', async () => {
    const [greedy, modest] = [await world.client(), await world.client()];
    await world.store.transaction((em) =>
      saveQuota(em, greedy.clientId, {
        jobsInFlight: 0,
        jobsQueued: 20,
        fuelPerHour: 0n,
        blobBytes: 0,
        weight: 0,
      }),
    );
    const moduleDigest = await greedy.register();
    for (let count = 0; count < 20; count++) await greedy.submit({ moduleDigest, priority: 9 });
    await expectRefusal(
      greedy.submit({ moduleDigest, priority: 9 }),
      'RESOURCE_EXHAUSTED',
      'QUOTA_EXCEEDED',
    );
    const { jobId } = await modest.submit();
    const node = await world.node();
    node.connect(2);
    const orders = [await node.nextOrder(), await node.nextOrder()];
    expect(orders.map(({ order }) => order.jobId)).to.include(jobId);
  });

  it('a client that submits and never watches has its jobs done and paid, and holds nothing open', async () => {
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const moduleDigest = await client.register();
    for (let count = 0; count < 3; count++) await client.submit({ moduleDigest });
    for (let count = 0; count < 3; count++) {
      const order = await node.nextOrder();
      node.acknowledge(order);
      expect(await node.complete(order)).not.to.equal(undefined);
      node.offer(1);
    }
    expect((await client.balance()).heldMicrocents).to.equal(0n);
  });

  it('a node gets no more orders than it has slots, however many jobs wait', async () => {
    const [client, node] = [await world.client(), await world.node()];
    const moduleDigest = await client.register();
    for (let count = 0; count < 5; count++) await client.submit({ moduleDigest });
    node.connect(2);
    await node.nextOrder();
    await node.nextOrder();
    await world.placement.sweep();
    await world.placement.sweep();
    expect(node.waitingOrders).to.equal(0);
  });
});
