// What an operator, a clock or a slow guest does to a running agent, with a real control plane.
import { expect } from 'chai';

import { NodeAdminService } from '#gen/gapjunction/admin/v1/node_admin_pb';
import { JobState, type Job } from '#gen/gapjunction/job/v1/job_pb';

import { systemClock, type Clock } from '../../agent/clock.ts';
import type { AgentFolder } from '../../agent/folder.ts';
import { endName } from '../../protocol/bill/ends.ts';
import { whenAll } from '../all.ts';
import { temporaryFolder } from '../fakes/agent.ts';
import {
  enrolIn,
  startAgent,
  startAgentWorld,
  stopAgents,
  type AgentWorld,
} from '../fakes/agent-world.ts';
import { ClientOfJobs, ENDLESS, NOTHING } from '../fakes/job-client.ts';

whenAll('an agent that is steered from outside', () => {
  let world: AgentWorld;
  let client: ClientOfJobs;
  let folder: AgentFolder;
  let dispose: () => void;
  beforeEach(async () => {
    // A machine that is busy with other tests is not taken for lost.
    world = await startAgentWorld({ settings: { heartbeatIntervalMs: 1_000 } });
    client = await ClientOfJobs.open(world.controlPlane);
    ({ folder, dispose } = temporaryFolder());
    await enrolIn(world, folder);
  });
  afterEach(async () => {
    await stopAgents();
    dispose();
    await world.stop();
  });

  const isRunning = ({ state }: Job): boolean => state === JobState.RUNNING;

  it('finishes its job and takes no other while it drains, and takes jobs again afterwards', async () => {
    const nodes = world.controlPlane.clientFor(NodeAdminService, world.controlPlane.operator);
    const agent = startAgent(folder);
    const { nodeId } = await agent.record.next('ready');
    const first = await client.submit(ENDLESS, { limits: { deadlineEpochs: 100 } });
    await client.watch(first, isRunning);
    await nodes.drainNode({ nodeId, reason: 'a new disk' });
    const second = await client.submit(NOTHING);
    expect(endName((await client.watch(first)).job.end)).to.equal('DEADLINE_EXCEEDED');
    await agent.record.next('job_settled');
    const { job } = await client.jobs.getJob({ jobId: second });
    expect(job?.state).to.equal(JobState.QUEUED);
    await nodes.uncordonNode({ nodeId, reason: 'the disk is in' });
    expect(endName((await client.watch(second)).job.end)).to.equal('SUCCEEDED');
    await agent.stop();
  });

  it('is told how far its guest is, so that a client sees that it moves', async () => {
    const agent = startAgent(folder);
    await agent.record.next('ready');
    const jobId = await client.submit(ENDLESS);
    await client.watch(jobId, ({ attempts }) => (attempts[0]?.progressFuel ?? 0n) > 0n);
    await client.jobs.cancelJob({ jobId });
    const { job } = await client.watch(jobId);
    expect(endName(job.end)).to.equal('CANCELLED');
    await agent.stop();
  });

  /** A machine whose clock is off by so much. */
  const clockOff = (byMs: number): Clock => ({
    now: () => systemClock.now() + byMs,
    after: (delayMs, task) => systemClock.after(delayMs, task),
  });

  for (const byMs of [40_000, -40_000]) {
    it(`works with a clock that is ${byMs / 1_000} s off`, async () => {
      const agent = startAgent(folder, { clock: clockOff(byMs) });
      await agent.record.next('ready');
      const job = await client.run(NOTHING);
      expect(endName(job.end)).to.equal('SUCCEEDED');
      await agent.record.next('job_settled');
      await agent.stop();
    });
  }

  it('is told by how much its clock is off when that is five minutes, and works once it is set', async () => {
    let byMs = 300_000;
    const clock: Clock = {
      now: () => systemClock.now() + byMs,
      after: (delayMs, task) => systemClock.after(delayMs, task),
    };
    const agent = startAgent(folder, { clock });
    const { clockOffsetMs } = await agent.record.next('clock_off');
    expect(clockOffsetMs).to.be.closeTo(-300_000, 60_000);
    byMs = 0;
    await agent.record.next('ready');
    await agent.stop();
  });
});
