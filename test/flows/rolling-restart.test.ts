// Three replicas are stopped and started again one after the other, as in an upgrade, while clients submit and
// nodes work: nobody notices.
import { expect } from 'chai';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';

import { untilThere } from '../../cli/retry.ts';
import { whenAll } from '../all.ts';
import { BUSY, wasmOf } from '../fakes/job-client.ts';
import type { EndedJob, LocalWorld } from './local-world.ts';
import { withReplicaWorlds } from './replica-worlds.ts';

/** Agents stop their guests when no beat was accepted for four: 8 s. */
const HEARTBEAT_INTERVAL_MS = 2_000;

whenAll('a rolling restart of three replicas', () => {
  const startWorld = withReplicaWorlds();
  let world: LocalWorld;
  beforeEach(async () => {
    world = await startWorld({ replicas: 3, heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS });
  });
  afterEach(() => world.dispose());

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

    for (const index of [0, 1, 2]) {
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
    // No beat was late by so much.
    for (const { log } of agents) expect(log).not.to.contain('the leases have ended');
    expect((await world.balance()).heldMicrocents).to.equal(0n);
    const earnings = await Promise.all(nodes.map((node) => world.earnings(node)));
    const settledJobs = earnings.reduce((sum, one) => sum + one.settledJobs, 0n);
    expect(settledJobs).to.equal(BigInt(ended.length));
    expect(await world.stopAndSumBooks()).to.equal(0n);
  });
});
