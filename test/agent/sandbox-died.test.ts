import { expect } from 'chai';

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
import { ClientOfJobs } from '../fakes/job-client.ts';
import { manyPhis } from '../sandbox/compiler-bomb.ts';

whenAll('a guest whose process dies', () => {
  let world: AgentWorld;
  const folders: { readonly folder: AgentFolder; readonly dispose: () => void }[] = [];
  beforeEach(async () => {
    world = await startAgentWorld();
  });
  afterEach(async () => {
    await stopAgents();
    await world.stop();
    for (const { dispose } of folders.splice(0)) dispose();
  });

  it('on two nodes has itself to blame: it ends TRAPPED, and costs its client what needs no fuel', async () => {
    for (const accountName of ['One', 'Two']) {
      const kept = temporaryFolder();
      folders.push(kept);
      await enrolIn(world, kept.folder, { accountName });
      const agent = startAgent(kept.folder);
      await agent.record.next('ready');
    }
    const client = await ClientOfJobs.open(world.controlPlane);
    const digest = await client.register(manyPhis());
    const { job, bill } = await client.watch(await client.submitModule(digest));
    expect(`${endName(job.end)} ${job.endDetail}`).to.equal('TRAPPED SANDBOX_DIED');
    expect(job.attempts.map(({ failure }) => failure)).to.deep.equal(['SANDBOX_DIED', '']);
    expect(new Set(job.attempts.map(({ nodeId }) => nodeId)).size).to.equal(2);
    expect(job.fuel).to.equal(0n);
    expect(job.chargeMicrocents > 0n).to.equal(true);
    expect(bill).not.to.equal(undefined);
  });
});
