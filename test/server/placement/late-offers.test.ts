// An offer that comes in the moment between a batch's look at the slots and its look at the queue.
import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { systemClock } from '../../../server/clock.ts';
import { readNewestStreams } from '../../../server/placement/work-stream-store.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { storeTemplate } from '../../fakes/store-template.ts';
import { WorkWorld } from '../work-world.ts';

describe('an offer that comes while a batch reads the queue', () => {
  let world: WorkWorld;
  /** Called once, when the next transaction has begun and not read anything. */
  let beforeNext: (() => Promise<void>) | null = null;
  before(async () => {
    const template = await storeTemplate();
    const store = await openStore(
      { kind: 'memory' },
      { clock: systemClock, exclusive: true, template },
    );
    const transaction: OpenStore['transaction'] = (work) =>
      store.transaction(async (em) => {
        const before = beforeNext;
        beforeNext = null;
        await before?.();
        return work(em);
      });
    world = await WorkWorld.open({ store: { ...store, transaction } });
  });
  after(() => world.close());

  const isNumbered = async (nodeId: string) =>
    (await world.store.read((em) => readNewestStreams(em, [nodeId]))).get(nodeId) === 1;

  it('is given what that batch left waiting, and nobody has to look again', async () => {
    const [client, plain, gpu] = [await world.client(), await world.node(), await world.node()];
    gpu.introduce({ labels: { gpu: 'yes' } });
    for (const node of [gpu, plain]) node.connect(0);
    // Nothing but the batch writes after this.
    for (const { nodeId } of [gpu, plain]) while (!(await isNumbered(nodeId)));
    await gpu.disconnect();
    const { jobId } = await client.submit({ constraints: { labels: { gpu: 'yes' } } });
    let cameDuring = false;
    beforeNext = async () => {
      gpu.connect(1);
      // Until its offer was read, which waits for nothing.
      await new Promise((resolve) => setImmediate(resolve));
      cameDuring = true;
    };
    plain.offer(1);
    await gpu.complete(await gpu.nextOrder());
    expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
    expect(cameDuring).to.equal(true);
  });
});
