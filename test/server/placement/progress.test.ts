import { expect } from 'chai';
import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';
import type { ReceivedOrder } from '../../fakes/scripted-node.ts';
import { onEachWorld, type TestClient, type WorkNode, type WorkWorld } from '../work-world.ts';

onEachWorld('the progress of a guest', (openWorld) => {
  let world: WorkWorld;
  let client: TestClient;
  let node: WorkNode;
  let jobId: string;
  let order: ReceivedOrder;
  before(async () => {
    world = await openWorld();
  });
  beforeEach(async () => {
    [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    ({ jobId } = await client.submit({ limits: { fuel: 1_000_000n } }));
    order = await node.nextOrder();
    node.acknowledge(order);
    await client.until(jobId, ({ attempts }) => attempts?.[0]?.state === AttemptState.ACKNOWLEDGED);
  });
  afterEach(() => world.reset());
  after(() => world.close());

  /** Progress is written with every second sweep. */
  async function sweepTwice(): Promise<void> {
    await world.placement.sweep();
    await world.placement.sweep();
  }
  const progress = async () => (await client.job(jobId)).attempts?.[0]?.progressFuel;

  it('is seen by its client, whatever number of times its node speaks, with one revision', async () => {
    const { revision } = await client.job(jobId);
    const seen = client.until(jobId, ({ attempts }) => attempts?.[0]?.progressFuel === 300n);
    for (const fuel of [100n, 200n, 300n]) node.progress(order, fuel);
    await sweepTwice();
    expect((await seen).revision).to.equal((revision ?? 0n) + 1n);
    await sweepTwice();
    expect((await client.job(jobId)).revision).to.equal((revision ?? 0n) + 1n);
  });

  it('goes neither back nor beyond the limit, whatever its node says', async () => {
    node.progress(order, 2n ** 64n - 1n);
    await sweepTwice();
    expect(await progress()).to.equal(1_000_000n);
    node.progress(order, 5n);
    await sweepTwice();
    expect(await progress()).to.equal(1_000_000n);
  });

  it('is not told by another node', async () => {
    const liar = await world.node();
    liar.connect(1);
    const own = await client.submit();
    const ownOrder = await liar.nextOrder();
    liar.progress(order, 77n);
    liar.progress(ownOrder, 5n);
    const heard = client.until(own.jobId, ({ attempts }) => attempts?.[0]?.progressFuel === 5n);
    await sweepTwice();
    await heard;
    expect(await progress()).to.equal(0n);
  });

  it('keeps nobody from completing the job meanwhile', async () => {
    node.progress(order, 10n);
    await Promise.all([sweepTwice(), node.complete(order, { fuel: 20n })]);
    const { job } = await client.outcome(jobId);
    expect(job?.fuel).to.equal(20n);
    expect(world.failures).to.deep.equal([]);
  });

  it('keeps no lease from its sweep where it cannot be written', async () => {
    // No listener lets it in: what a database refuses stands for whatever may go wrong there.
    node.progress({ order: { ...order.order, attemptId: 'a-\0' } }, 10n);
    await sweepTwice();
    const doings = world.failures.map(({ doing }) => doing);
    expect(doings).to.deep.equal(['writing how far guests are']);
  });
});
