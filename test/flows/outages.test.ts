// What the control plane leans on goes away for a while. Callers are told to try again; no job is lost, none
// is run twice, and nobody has to restart anything.
import { expect } from 'chai';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';

import { untilThere } from '../../cli/retry.ts';
import { whenAll } from '../all.ts';
import { failureOf } from '../fakes/failure.ts';
import { ENDLESS, NOTHING, wasmOf } from '../fakes/job-client.ts';
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { startRedis, type TestRedis } from '../fakes/redis.ts';
import { LocalWorld } from './local-world.ts';

/** Seconds of work, so that the outage comes in the middle, and time for it on a busy machine. */
const LIMITS = { fuel: 2_000_000_000n, deadlineEpochs: 60_000 };

/** A beat and a half until both replicas have noticed, several times that on a busy machine. */
const NOTICED_MS = 180_000;

/** Two intervals without a beat are borne by an agent that works on; four end its guests. */
const HEARTBEAT_INTERVAL_MS = 10_000;

/** The outage is as long as a caller waits, and shorter than nodes live without a beat. */
const PATIENCE = { patienceMs: 20_000 };

const REDIS_ARGS = ['--maxmemory-policy', 'noeviction'];

whenAll('two replicas whose database or Redis goes away', () => {
  let postgresql: Postgresql;
  let redis: TestRedis;
  let world: LocalWorld;
  beforeEach(async () => {
    postgresql = await startPostgresql();
    redis = await startRedis(REDIS_ARGS);
    world = await LocalWorld.start({
      databaseUrl: postgresql.newDatabase(),
      redisUrl: redis.url,
      replicas: 2,
      heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
    });
    await world.run(await world.enrol('node'));
  });
  afterEach(async () => {
    await world.dispose();
    await redis.stop();
    postgresql.stop();
  });

  async function begin(): Promise<string> {
    const jobId = await world.submit(await wasmOf(ENDLESS), { limits: LIMITS });
    await world.acknowledged(jobId);
    return jobId;
  }

  async function expectEndedAtFirstTry(
    jobId: string,
    end: JobEnd = JobEnd.OUT_OF_FUEL,
  ): Promise<void> {
    // A replica trusts nobody until it has read the revocations again.
    const { job } = await untilThere(() => world.watch(jobId));
    expect(job.end).to.equal(end);
    expect(job.attempts.map(({ state }) => state)).to.deep.equal([AttemptState.COMPLETED]);
  }

  it('go on when PostgreSQL is back: who called meanwhile was told to try again', async () => {
    const module = await wasmOf(NOTHING);
    await expectEndedAtFirstTry(await world.submit(module), JobEnd.SUCCEEDED);
    const running = await begin();
    postgresql.crash();
    const refused = await failureOf(world.submit(module, {}, PATIENCE));
    expect(refused.code).to.equal('Unavailable');
    // Whoever comes later than 30 s is not even trusted any more.
    expect(refused.reason).to.be.oneOf(['DATABASE_UNAVAILABLE', 'REVOCATIONS_UNKNOWN']);
    postgresql.start();
    await expectEndedAtFirstTry(running);
    await expectEndedAtFirstTry(await world.submit(module), JobEnd.SUCCEEDED);
    expect(world.runningReplicas).to.equal(2);
    expect(await world.stopAndSumBooks()).to.equal(0n);
  }).timeout(NOTICED_MS);

  it('run jobs while Redis is gone, take beats again when it is back without its data', async () => {
    const running = await begin();
    await redis.stop();
    const meanwhile = await world.submit(await wasmOf(NOTHING));
    await expectEndedAtFirstTry(running);
    await expectEndedAtFirstTry(meanwhile, JobEnd.SUCCEEDED);
    redis = await startRedis(REDIS_ARGS, redis.port);
    await expectEndedAtFirstTry(await world.submit(await wasmOf(NOTHING)), JobEnd.SUCCEEDED);
    expect(world.runningReplicas).to.equal(2);
    expect(await world.stopAndSumBooks()).to.equal(0n);
  }).timeout(NOTICED_MS);
});
