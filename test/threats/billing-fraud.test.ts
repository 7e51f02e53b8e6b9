// Specification 3.5.2, billing fraud: task ids are digests, so nothing can be billed that was not ordered.
import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { taskIdOf } from '../../protocol/bill/task-id.ts';
import { expectRefusal } from '../server/expect-refusal.ts';
import {
  onEachWorld,
  earnings,
  type WorkWorld,
  type TestClient,
  type WorkNode,
} from '../server/work-world.ts';

onEachWorld('threat: billing fraud', (openWorld) => {
  let world: WorkWorld;
  let client: TestClient;
  let node: WorkNode;
  before(async () => {
    world = await openWorld();
  });
  beforeEach(async () => {
    client = await world.client();
    node = await world.node();
    node.connect(1);
  });
  afterEach(async () => {
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  it('fuel above the limit of the order is not paid', async () => {
    await client.submit({ limits: { fuel: 1_000_000n } });
    const order = await node.nextOrder();
    const inflated = node.complete(order, { fuel: 1_000_001n });
    await expectRefusal(inflated, 'INVALID_ARGUMENT', 'RECEIPT_INVALID');
    expect((await earnings(world, node)).pendingMicrocents).to.equal(0n);
  });

  it('a receipt cannot be raised after it was accepted', async () => {
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    await node.complete(order, { fuel: 1_000n });
    const raised = node.complete(order, { fuel: 9_000_000_000n });
    await expectRefusal(raised, 'ALREADY_EXISTS', 'RECEIPT_CHANGED');
    expect((await client.outcome(jobId)).job?.fuel).to.equal(1_000n);
  });

  it('an order with another price is another task, which nobody gave', async () => {
    await client.submit();
    const order = await node.nextOrder();
    const payload = Uint8Array.from(order.envelope.payload ?? []);
    payload[payload.length - 1]! ^= 1;
    const changed = { ...order, taskId: taskIdOf(payload) };
    await expectRefusal(node.complete(changed), 'NOT_FOUND', 'TASK_UNKNOWN');
  });

  it('the attempt that lost its lease is not paid beside the one that took over', async () => {
    const { jobId } = await client.submit();
    const first = await node.nextOrder();
    const second = await world.node();
    second.connect(1);
    await world.fleet.lose(node.nodeId);
    const order = await second.nextOrder();
    const both = await Promise.allSettled([node.complete(first), second.complete(order)]);
    expect(both.map(({ status }) => status)).to.deep.equal(['rejected', 'fulfilled']);
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
    expect((await earnings(world, node)).settledJobs).to.equal(0n);
    expect((await earnings(world, second)).settledJobs).to.equal(1n);
  });

  it('many copies of one receipt at once are paid once', async () => {
    await client.submit();
    const order = await node.nextOrder();
    const receipt = await node.receipt(order);
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => node.handIn(order, receipt)));
    const bytes = answers.map((answer) => Buffer.from(answer?.payload ?? []).toString('hex'));
    expect(new Set(bytes).size).to.equal(1);
    expect((await earnings(world, node)).settledJobs).to.equal(1n);
  });
});
