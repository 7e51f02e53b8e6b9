// Two replicas are stopped and started again one after the other, as in an upgrade, while clients submit and
// nodes work: nobody notices.
import { expect } from 'chai';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';

import { untilThere } from '../../cli/retry.ts';
import { whenAll } from '../all.ts';
import { BUSY, wasmOf } from '../fakes/job-client.ts';
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { startRedis, type TestRedis } from '../fakes/redis.ts';
import { LocalWorld, type EndedJob } from './local-world.ts';

whenAll('a rolling restart of two replicas', () => {
  let postgresql: Postgresql;
  let redis: TestRedis;
  let world: LocalWorld;
  before(async () => {
    postgresql = await startPostgresql();
    redis = await startRedis(['--maxmemory-policy', 'noeviction']);
    world = await LocalWorld.start({
      databaseUrl: postgresql.newDatabase(),
      redisUrl: redis.url,
      replicas: 2,
    });
  });
  after(async () => {
    await world.dispose();
    await redis.stop();
    postgresql.stop();
  });

  it('loses no job, runs none again, and pays each once', async () => {
    const nodes = await Promise.all(['one', 'other'].map((name) => world.enrol(name)));
    const agents = await Promise.all(nodes.map((node) => world.run(node, 2)));
    const module = await wasmOf(BUSY);
    const ended: EndedJob[] = [];
    const rolled = new AbortController();
    async function useIt(): Promise<void> {
      do {
        const jobId = await world.submit(module);
        ended.push(await untilThere(() => world.watch(jobId)));
      } while (!rolled.signal.aborted);
    }
    const clients = [useIt(), useIt(), useIt()];

    for (const index of [0, 1]) {
      await world.stopReplica(index);
      await world.restartReplica(index);
    }
    rolled.abort();
    await Promise.all(clients);

    for (const { job } of ended) {
      expect(job.end).to.equal(JobEnd.SUCCEEDED);
      expect(job.attempts.map(({ state }) => state)).to.deep.equal([AttemptState.COMPLETED]);
    }
    expect(agents.map(({ running }) => running)).to.deep.equal([true, true]);
    expect((await world.balance()).heldMicrocents).to.equal(0n);
    const earnings = await Promise.all(nodes.map((node) => world.earnings(node)));
    const settledJobs = earnings.reduce((sum, one) => sum + one.settledJobs, 0n);
    expect(settledJobs).to.equal(BigInt(ended.length));
    expect(await world.stopAndSumBooks()).to.equal(0n);
  });
});
