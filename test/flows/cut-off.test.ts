// A line that drops everything, and a replica that stands still: neither tells anybody. Agents find out by
// themselves, and no job is lost or paid twice.
import { expect } from 'chai';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';

import { whenAll } from '../all.ts';
import { ENDLESS, NOTHING, wasmOf } from '../fakes/job-client.ts';
import { TcpProxy } from '../fakes/tcp-proxy.ts';
import type { LocalWorld, LocalWorldOptions } from './local-world.ts';
import { withReplicaWorlds } from './replica-worlds.ts';

/** Seconds of work, so that the fault comes in the middle, and time for it on a busy machine. */
const LIMITS = { fuel: 4_000_000_000n, deadlineEpochs: 60_000 };

/** The same for a guest that is to run until its lease has ended. */
const LONG_LIMITS = { ...LIMITS, fuel: 12_000_000_000n };

/** As far from the 10 s after which a beat counts as unanswered as the 15 s of a fleet from its 30 s cut. */
const PATIENT = { heartbeatIntervalMs: 8_000, lostAfterIntervals: 4 } as const;

/** Half a minute until each side has noticed, twice on a busy machine. */
const NOTICED_MS = 180_000;

const LEASES_LOST = 'the leases have ended';

whenAll('two replicas and their agents', () => {
  const startWorld = withReplicaWorlds();
  let world: LocalWorld;
  afterEach(() => world.dispose());

  async function start(options: LocalWorldOptions = {}): Promise<void> {
    world = await startWorld(options);
  }

  const indexOf = (address: unknown): number =>
    [0, 1].findIndex((index) => world.addressOf(index) === address);

  it('that are cut off from each other until they noticed lose no job, and run none again', async function () {
    this.timeout(NOTICED_MS);
    await start(PATIENT);
    const lines = await Promise.all(
      [0, 1].map((index) => TcpProxy.open(Number(world.addressOf(index).split(':').at(-1)))),
    );
    try {
      const address = lines.map(({ port }) => `localhost:${port}`).join(',');
      const nodes = await Promise.all(['one', 'other'].map((name) => world.enrol(name)));
      const agents = await Promise.all(nodes.map((node) => world.run(node, 1, address)));
      const module = await wasmOf(ENDLESS);
      const jobIds = [
        await world.submit(module, { limits: LIMITS }),
        await world.submit(module, { limits: LIMITS }),
      ];
      await Promise.all(jobIds.map((jobId) => world.acknowledged(jobId)));

      for (const line of lines) line.cut();
      await Promise.all(agents.map((agent) => agent.event('link_lost')));
      await Promise.any(lines.map(({ triedInVain }) => triedInVain));
      for (const line of lines) line.mend();
      await Promise.all(agents.map((agent) => agent.event('linked', undefined, 2)));

      for (const jobId of jobIds) {
        const { job } = await world.watch(jobId);
        expect(job.end).to.equal(JobEnd.OUT_OF_FUEL);
        expect(job.attempts.map(({ state }) => state)).to.deep.equal([AttemptState.COMPLETED]);
      }
      for (const agent of agents) expect(agent.log).not.to.contain(LEASES_LOST);
      expect(await world.stopAndSumBooks()).to.equal(0n);
    } finally {
      await Promise.all(lines.map((line) => line.close()));
    }
  });

  it('of which one stands still for longer than a lost-period pay a job once, and it comes back', async function () {
    this.timeout(NOTICED_MS);
    await start();
    const node = await world.enrol('node');
    const agent = await world.run(node);
    const at = indexOf((await agent.event('linked'))['address']);
    const jobId = await world.submit(await wasmOf(ENDLESS), { limits: LONG_LIMITS });
    await world.acknowledged(jobId);

    world.pauseServer(at);
    try {
      expect(indexOf((await agent.event('linked', undefined, 2))['address'])).to.equal(1 - at);
      // Lost meanwhile, it is given its job anew by the other.
      await agent.event('job_started', undefined, 2);
    } finally {
      world.continueServer(at);
    }
    const { job } = await world.watch(jobId);
    await agent.event('job_settled');
    expect(job.end).to.equal(JobEnd.OUT_OF_FUEL);
    const states = job.attempts.map(({ state }) => state);
    expect(states).to.deep.equal([AttemptState.FAILED, AttemptState.COMPLETED]);
    expect((await world.earnings(node)).settledJobs).to.equal(1n);
    expect((await world.balance()).heldMicrocents).to.equal(0n);

    const back = await world.run(await world.enrol('other'), 1, world.addressOf(at));
    await agent.stop();
    const next = await world.watch(await world.submit(await wasmOf(NOTHING)));
    expect(next.job.end).to.equal(JobEnd.SUCCEEDED);
    await back.event('job_settled');
    expect(await world.stopAndSumBooks()).to.equal(0n);
  });
});
