// A job takes some seconds; in the middle of it a process is killed as a power cut does. Whoever is
// killed, the job ends once and is paid once.
import { join } from 'node:path';

import { expect } from 'chai';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';

import { EXIT } from '../../cli/failure.ts';
import { FIRST_CREDIT_MICROCENTS } from '../../cli/local-system.ts';
import { Program } from '../../cli/processes.ts';
import { whenAll } from '../all.ts';
import { BUSY, ENDLESS, wasmOf } from '../fakes/job-client.ts';
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { startRedis, type TestRedis } from '../fakes/redis.ts';
import { LocalWorld, type EndedJob, type LocalWorldOptions } from './local-world.ts';

const COMMAND = join(import.meta.dirname, '../../cli/gap-junction.mjs');

/** Seconds of work, so that the kill comes in the middle; it runs out, so that any node ends alike. */
const FUEL = 2_000_000_000n;
/** The longest deadline, which a busy machine does not come to before the fuel has run out. */
const LIMITS = { fuel: FUEL, deadlineEpochs: 60_000 };

whenAll('a kill -9 in the middle of a job', () => {
  jobsSurvive(async () => ({}));
});

whenAll('a kill -9 in the middle of a job, with PostgreSQL and Redis', () => {
  let postgresql: Postgresql;
  let redis: TestRedis;
  before(async () => {
    postgresql = await startPostgresql();
    redis = await startRedis(['--maxmemory-policy', 'noeviction']);
  });
  after(async () => {
    postgresql.stop();
    await redis.stop();
  });
  jobsSurvive(async () => ({ databaseUrl: postgresql.newDatabase(), redisUrl: redis.url }));
});

function jobsSurvive(options: () => Promise<LocalWorldOptions>): void {
  let world: LocalWorld;
  let module: Uint8Array;
  beforeEach(async () => {
    module = await wasmOf(ENDLESS);
    world = await LocalWorld.start(await options());
  });
  afterEach(() => world.dispose());

  async function expectPaidOnce(ended: EndedJob): Promise<void> {
    const { job } = ended;
    expect(job.end).to.equal(JobEnd.OUT_OF_FUEL);
    expect(job.fuel).to.equal(FUEL);
    const balance = await world.balance();
    expect(balance.heldMicrocents).to.equal(0n);
    expect(balance.availableMicrocents).to.equal(FIRST_CREDIT_MICROCENTS - job.chargeMicrocents);
  }

  it('of the agent: the job goes to another node, which alone is paid', async () => {
    const [victim, other] = [await world.enrol('victim'), await world.enrol('other')];
    const killed = await world.run(victim);
    const jobId = await world.submit(module, { limits: LIMITS });
    await killed.event('job_started');
    const takesOver = await world.run(other);
    await killed.stop('SIGKILL');
    await takesOver.event('job_started');
    const back = await world.run(victim);
    const ended = await world.watch(jobId);
    await takesOver.event('job_settled');

    expect(ended.job.attempts.map(({ nodeId, state }) => ({ nodeId, state }))).to.deep.equal([
      { nodeId: victim.nodeId, state: AttemptState.FAILED },
      { nodeId: other.nodeId, state: AttemptState.COMPLETED },
    ]);
    await expectPaidOnce(ended);
    expect((await world.earnings(other)).settledJobs).to.equal(1n);
    expect(await world.earnings(victim)).to.include({ settledJobs: 0n, pendingMicrocents: 0n });
    expect(back.running, 'the node that was killed works on').to.equal(true);
    await world.expectReplays(ended, { module, input: new Uint8Array() });
    expect(await world.stopAndSumBooks()).to.equal(0n);
  });

  it('of the control plane: its node works on, and is paid when it is back', async () => {
    const node = await world.enrol('node');
    const agent = await world.run(node);
    const jobId = await world.submit(module, { limits: LIMITS });
    const watched = new Program('job watch', COMMAND, ['job', 'watch', jobId, '--json'], {
      env: { ...process.env, ...world.clientEnvironment },
    });
    await agent.event('job_started');
    await world.killAndRestartServer();
    const ended = await world.watch(jobId);
    await agent.event('job_settled');

    expect(await watched.ended(), watched.log).to.equal(EXIT.jobFailed);
    expect(watched.log, 'whoever watched it all the time').to.contain('OUT_OF_FUEL');
    expect(ended.job.attempts.map(({ state }) => state)).to.deep.equal([AttemptState.COMPLETED]);
    await expectPaidOnce(ended);
    expect((await world.earnings(node)).settledJobs).to.equal(1n);
    expect(await world.stopAndSumBooks()).to.equal(0n);
  });

  it('of both: the job is run again by the same machine, and paid once', async () => {
    const node = await world.enrol('node');
    const agent = await world.run(node);
    const jobId = await world.submit(module, { limits: LIMITS });
    await agent.event('job_started');
    await agent.stop('SIGKILL');
    await world.killAndRestartServer();
    const again = await world.run(node);
    const ended = await world.watch(jobId);
    await again.event('job_settled');

    // Whether under its old lease or a new one hangs on which of the two came back first.
    const paid = ended.job.attempts.filter(({ state }) => state === AttemptState.COMPLETED);
    expect(paid).to.have.length(1);
    await expectPaidOnce(ended);
    expect((await world.earnings(node)).settledJobs).to.equal(1n);
    expect(await world.stopAndSumBooks()).to.equal(0n);
  });

  it('of the control plane and of a node among many jobs: each ends once, and the books are even', async () => {
    const [victim, other] = [await world.enrol('victim'), await world.enrol('other')];
    const killed = await world.run(victim, 2);
    await world.run(other, 2);
    const short = await wasmOf(BUSY);
    const jobIds = await Promise.all(
      Array.from({ length: 24 }, async (_, index) => {
        const jobId = await world.submit(short);
        if (index % 6 === 0) await world.cancel(jobId);
        return jobId;
      }),
    );
    await killed.event('job_settled');
    await killed.stop('SIGKILL');
    await world.killAndRestartServer();
    const ended = await Promise.all(jobIds.map((jobId) => world.watch(jobId)));

    const paid = ended.filter(({ bill }) => bill !== undefined);
    for (const { job } of paid) expect(job.end).to.be.oneOf([JobEnd.SUCCEEDED, JobEnd.CANCELLED]);
    for (const { job, bill } of ended) {
      if (bill === undefined)
        expect(job).to.include({ end: JobEnd.CANCELLED, chargeMicrocents: 0n });
    }
    const charged = paid.reduce((sum, { job }) => sum + job.chargeMicrocents, 0n);
    const balance = await world.balance();
    expect(balance.heldMicrocents).to.equal(0n);
    expect(balance.availableMicrocents).to.equal(FIRST_CREDIT_MICROCENTS - charged);
    const earned = await Promise.all([world.earnings(victim), world.earnings(other)]);
    const settled = earned.reduce((sum, { settledJobs }) => sum + settledJobs, 0n);
    expect(settled).to.equal(BigInt(paid.length));
    expect(await world.stopAndSumBooks()).to.equal(0n);
  });
}
