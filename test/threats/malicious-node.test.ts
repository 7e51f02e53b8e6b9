// Specification 3.5.1, malicious node: it lies about what it did, or about whose work it did.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';
import { WorkRequestSchema } from '#gen/gapjunction/node/v1/dispatch_pb';
import { MAX_UNSENT } from '../../server/placement/work-stream.ts';
import { expectRefusal } from '../server/expect-refusal.ts';
import { onEachWorld, earnings, type WorkNode, type WorkWorld } from '../server/work-world.ts';

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

  /** Acknowledges attempts that nobody gave it, as long as it is read. */
  async function makeUp(liar: WorkNode) {
    const said = { count: 0, isOver: false };
    const opened = liar.openWork(
      (async function* () {
        try {
          for (;;) {
            const attemptId = `a-${said.count++}`;
            yield create(WorkRequestSchema, {
              kind: { case: 'acknowledgement', value: { attemptId } },
            });
          }
        } finally {
          said.isOver = true;
        }
      })(),
    );
    return { said, answers: opened[Symbol.asyncIterator]() };
  }

  it('keeps no other waiting with acknowledgements of what it was never given', async () => {
    const [client, node, liar] = [await world.client(), await world.node(), await world.node()];
    const { said, answers } = await makeUp(liar);
    const reader = new AbortController();
    const reading = (async () => {
      while (!reader.signal.aborted) await answers.next();
    })();
    node.connect(1);
    const { jobId } = await client.submit();
    node.acknowledge(await node.nextOrder());
    await client.until(jobId, ({ attempts }) => attempts?.[0]?.state === AttemptState.ACKNOWLEDGED);
    reader.abort();
    await reading;
    await answers.return?.();
    expect(said.count).to.be.greaterThan(0);
  });

  it('fills no memory with what it is sent and does not read', async () => {
    const { said, answers } = await makeUp(await world.node());
    await answers.next();
    while (!said.isOver) await new Promise((resolve) => setImmediate(resolve));
    // What was read in advance of the writing, beside what waits.
    expect(said.count).to.be.lessThan(MAX_UNSENT + 1_000);
    await expectRefusal(answers.next(), 'UNAVAILABLE', 'WORK_UNREAD');
  });
});
