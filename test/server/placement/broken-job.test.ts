import { expect } from 'chai';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { query } from '../../../server/store/query.ts';
import { onEachWorld, type TestClient, type WorkWorld } from '../work-world.ts';

onEachWorld('a job that no order can be made of', (openWorld) => {
  let world: WorkWorld;
  before(async () => {
    world = await openWorld();
  });
  afterEach(() => world.reset());
  after(() => world.close());

  async function breakJob(client: TestClient): Promise<string> {
    const { jobId } = await client.submit();
    await world.store.transaction((em) =>
      query(em, 'update job set seed = $2 where job_id = $1', [jobId, Uint8Array.of(1)]),
    );
    return jobId;
  }

  it('holds up no other, is told of once, and ends when its time in the queue is over', async () => {
    const [client, other, node] = [await world.client(), await world.client(), await world.node()];
    const broken = [await breakJob(client), await breakJob(client), await breakJob(other)];
    const sound = [await client.submit(), await other.submit()];
    node.connect(1);
    for (const _ of sound) {
      await node.complete(await node.nextOrder());
      node.offer(1);
    }
    const ends = [await client.outcome(sound[0]!.jobId), await other.outcome(sound[1]!.jobId)];
    for (const { job } of ends) expect(job?.end).to.equal(JobEnd.SUCCEEDED);
    for (const sweeps of [1, 2]) {
      await world.placement.sweep();
      expect(
        world.failures.map(({ doing }) => doing),
        `after ${sweeps}`,
      ).to.have.members(broken.map((jobId) => `ordering the job '${jobId}', which is passed over`));
    }
    await world.passTime(24 * 3_600_000 + 1);
    const { job } = await client.outcome(broken[0]!);
    expect(job?.end).to.equal(JobEnd.QUEUE_TIMEOUT);
    expect(await world.ledgerSum()).to.equal(0n);
  });
});
