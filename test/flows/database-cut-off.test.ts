// The line to PostgreSQL drops everything at the moment at which a node acknowledges its order.
import { expect } from 'chai';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';

import { untilThere } from '../../cli/retry.ts';
import { whenAll } from '../all.ts';
import { failureOf } from '../fakes/failure.ts';
import { ENDLESS, wasmOf } from '../fakes/job-client.ts';
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { startRedis, type TestRedis } from '../fakes/redis.ts';
import { TcpProxy } from '../fakes/tcp-proxy.ts';
import { LocalWorld } from './local-world.ts';

/** Seconds of work, and time for it on a busy machine. */
const LIMITS = { fuel: 4_000_000_000n, deadlineEpochs: 60_000 };

/** Agents work on for four without a beat: longer than the 15 s after which a database is given up. */
const HEARTBEAT_INTERVAL_MS = 10_000;

/** The outage is as long as a caller waits, and shorter than nodes live without a beat. */
const PATIENCE = { patienceMs: 20_000 };

const NOTICED_MS = 180_000;

whenAll('two replicas whose database is cut off without a word', () => {
  let postgresql: Postgresql;
  let redis: TestRedis;
  let line: TcpProxy;
  let world: LocalWorld;
  beforeEach(async function () {
    this.timeout(NOTICED_MS);
    postgresql = await startPostgresql();
    redis = await startRedis(['--maxmemory-policy', 'noeviction']);
    const url = new URL(postgresql.newDatabase());
    line = await TcpProxy.open(Number(url.port));
    url.port = String(line.port);
    world = await LocalWorld.start({
      databaseUrl: url.href,
      redisUrl: redis.url,
      replicas: 2,
      heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
    });
  });
  afterEach(async () => {
    await world.dispose();
    await line.close();
    await redis.stop();
    postgresql.stop();
  });

  it('tell callers to try again, and run no job twice whose order was acknowledged as it happened', async function () {
    this.timeout(NOTICED_MS);
    const agent = await world.run(await world.enrol('node'), 2);
    const module = await wasmOf(ENDLESS);
    const jobId = await world.submit(module, { limits: LIMITS });
    await agent.event('job_started');
    line.cut();
    const refused = await failureOf(world.submit(module, {}, PATIENCE));
    expect(refused.code).to.equal('Unavailable');
    // Whoever comes later than 30 s is not even trusted any more.
    expect(refused.reason).to.be.oneOf(['DATABASE_UNAVAILABLE', 'REVOCATIONS_UNKNOWN']);
    line.mend();
    const { job } = await untilThere(() => world.watch(jobId));
    expect(job.end).to.equal(JobEnd.OUT_OF_FUEL);
    expect(job.attempts.map(({ state }) => state)).to.deep.equal([AttemptState.COMPLETED]);
    expect(world.runningReplicas).to.equal(2);
    expect(await world.stopAndSumBooks()).to.equal(0n);
  });
});
