// Two replicas, one agent that knows both: whichever dies or stops, the agent and its job go on at the other.
import { expect } from 'chai';

import { AttemptState } from '#gen/gapjunction/job/v1/job_pb';

import { runCommandLine } from '../../cli/command-line.ts';
import { EXIT } from '../../cli/failure.ts';
import type { Program, ProgramEvent } from '../../cli/processes.ts';
import { whenAll } from '../all.ts';
import { ENDLESS, NOTHING, wasmOf } from '../fakes/job-client.ts';
import type { LocalWorld } from './local-world.ts';
import { withReplicaWorlds } from './replica-worlds.ts';

/** Seconds of work, so that the fault comes in the middle, and time for it on a busy machine. */
const LIMITS = { fuel: 2_000_000_000n, deadlineEpochs: 60_000 };

whenAll('one of two replicas', () => {
  const startWorld = withReplicaWorlds();
  let world: LocalWorld;
  beforeEach(async () => {
    world = await startWorld();
  });
  afterEach(() => world.dispose());

  /** The replica that the agent is linked to, by what it said last. */
  const replicaOf = ({ address }: ProgramEvent): number =>
    [0, 1].findIndex((index) => world.addressOf(index) === address);

  interface Begun {
    readonly agent: Program;
    readonly jobId: string;
    /** Where the agent is. */
    readonly at: number;
    /** `job watch` of that job, with both addresses. */
    readonly watching: Program;
  }

  async function begin(): Promise<Begun> {
    const agent = await world.run(await world.enrol('node'));
    const at = replicaOf(await agent.event('linked'));
    const jobId = await world.submit(await wasmOf(ENDLESS), { limits: LIMITS });
    await agent.event('job_started');
    const watching = runCommandLine('job', {
      args: ['watch', jobId, '--json'],
      environment: world.clientEnvironment,
    });
    return { agent, jobId, at, watching };
  }

  async function expectEndedThere({ agent, jobId, at, watching }: Begun): Promise<void> {
    expect(replicaOf(await agent.event('linked', undefined, 2))).to.equal(1 - at);
    const ended = await world.watch(jobId);
    await agent.event('job_settled');
    expect(await watching.ended(), watching.log).to.equal(EXIT.jobFailed);
    expect(watching.log).to.contain('OUT_OF_FUEL');
    expect(ended.job.attempts.map(({ state }) => state)).to.deep.equal([AttemptState.COMPLETED]);
    const next = await world.watch(await world.submit(await wasmOf(NOTHING)));
    expect(next.job.attempts).to.have.length(1);
    expect(await world.stopAndSumBooks()).to.equal(0n);
  }

  it('that is killed takes no job with it: the agent goes on at the other at once', async () => {
    const begun = await begin();
    await world.killReplica(begun.at);
    await expectEndedThere(begun);
  });

  it('that stops hands its agents over, and their jobs go on', async () => {
    const begun = await begin();
    await world.stopReplica(begun.at);
    await expectEndedThere(begun);
  });
});
