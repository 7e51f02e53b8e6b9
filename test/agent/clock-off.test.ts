// An owner's machine whose clock is wrong, against a real control plane.
import { expect } from 'chai';

import { NodeAdminService, Liveness } from '#gen/gapjunction/admin/v1/node_admin_pb';

import { systemClock, type Clock } from '../../agent/clock.ts';
import type { AgentFolder } from '../../agent/folder.ts';
import { openIdentity } from '../../agent/identity/identity.ts';
import { endName } from '../../protocol/bill/ends.ts';
import { temporaryFolder } from '../fakes/agent.ts';
import {
  enrolIn,
  startAgent,
  startAgentWorld,
  stopAgents,
  type AgentWorld,
} from '../fakes/agent-world.ts';
import { ClientOfJobs, NOTHING } from '../fakes/job-client.ts';

const SECOND_MS = 1_000;

describe('an agent whose clock is wrong', () => {
  let world: AgentWorld;
  let folder: AgentFolder;
  let dispose: () => void;
  let account = 0;
  before(async () => {
    world = await startAgentWorld({ settings: { heartbeatIntervalMs: 1_000 } });
  });
  after(() => world.stop());
  beforeEach(async () => {
    ({ folder, dispose } = temporaryFolder());
    await enrolIn(world, folder, { accountName: `Owner of a clock ${account++}` });
  });
  afterEach(async () => {
    await stopAgents();
    dispose();
  });

  const isLive = async () => {
    const { nodeId } = openIdentity(folder);
    const { operator } = world.controlPlane;
    const admin = world.controlPlane.clientFor(NodeAdminService, operator);
    const { node } = await admin.getNode({ nodeId });
    return node?.liveness === Liveness.LIVE;
  };
  const off = (byMs: () => number): Clock => ({
    ...systemClock,
    now: () => systemClock.now() + byMs(),
  });
  // No wait before the next try.
  const random = () => 0;

  for (const [which, sign] of [
    ['fast', 1],
    ['slow', -1],
  ] as const) {
    it(`by 40 s (${which}) works as any other`, async () => {
      const agent = startAgent(folder, { clock: off(() => sign * 40 * SECOND_MS), random });
      await agent.record.next('ready');
      expect(await isLive()).to.equal(true);
      const client = await ClientOfJobs.open(world.controlPlane);
      const { job } = await client.watch(await client.submit(NOTHING));
      expect(endName(job.end)).to.equal('SUCCEEDED');
      await agent.stop();
    });

    it(`by five minutes (${which}) is told by how much, and works once it is set right`, async () => {
      let byMs = sign * 300 * SECOND_MS;
      const agent = startAgent(folder, { clock: off(() => byMs), random });
      const { clockOffsetMs } = await agent.record.next('clock_off');
      expect(clockOffsetMs).to.be.closeTo(-byMs, 60 * SECOND_MS);
      expect(await isLive()).to.equal(false);
      // As the owner would, by what it was told.
      byMs += clockOffsetMs;
      await agent.record.next('ready');
      expect(await isLive()).to.equal(true);
      await agent.stop();
    });
  }
});
