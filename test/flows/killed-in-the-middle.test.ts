// A job takes some seconds; in the middle of it a process is killed as a power cut does. Whoever is
// killed, the job ends once and is paid once.
import { expect } from 'chai';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';

import { FIRST_CREDIT_MICROCENTS } from '../../cli/local-system.ts';
import { whenAll } from '../all.ts';
import { ENDLESS, wasmOf } from '../fakes/job-client.ts';
import { LocalWorld, type EndedJob } from './local-world.ts';

/** Seconds of work, so that the kill comes in the middle; it runs out, so that any node ends alike. */
const FUEL = 2_000_000_000n;

whenAll('a kill -9 in the middle of a job', () => {
  let world: LocalWorld;
  let module: Uint8Array;
  beforeEach(async () => {
    module = await wasmOf(ENDLESS);
    world = await LocalWorld.start();
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
    const jobId = await world.submit(module, { limits: { fuel: FUEL } });
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
    const jobId = await world.submit(module, { limits: { fuel: FUEL } });
    await agent.event('job_started');
    await world.killAndRestartServer();
    const ended = await world.watch(jobId);
    await agent.event('job_settled');

    expect(ended.job.attempts.map(({ state }) => state)).to.deep.equal([AttemptState.COMPLETED]);
    await expectPaidOnce(ended);
    expect((await world.earnings(node)).settledJobs).to.equal(1n);
    expect(await world.stopAndSumBooks()).to.equal(0n);
  });

  it('of both: the job is run again by the same machine, and paid once', async () => {
    const node = await world.enrol('node');
    const agent = await world.run(node);
    const jobId = await world.submit(module, { limits: { fuel: FUEL } });
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
});
