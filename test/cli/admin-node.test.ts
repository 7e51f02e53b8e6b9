import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { openIdentity } from '../../agent/identity/identity.ts';
import { whenAll } from '../all.ts';
import { temporaryFolder } from '../fakes/agent.ts';
import { enrolIn, startAgent, startAgentWorld, type AgentWorld } from '../fakes/agent-world.ts';
import type { ControlPlane } from '../fakes/control-plane.ts';
import { ClientOfJobs, ENDLESS, NOTHING } from '../fakes/job-client.ts';
import { enrolNode } from '../fakes/node.ts';
import { gapJunction } from './whole-system.ts';

whenAll('gap-junction admin node', () => {
  let world: AgentWorld;
  let controlPlane: ControlPlane;
  let nodeId: string;
  let folder: string;
  let env: Record<string, string>;
  before(async () => {
    world = await startAgentWorld({ settings: { heartbeatIntervalMs: 1_000 } });
    ({ controlPlane } = world);
    ({ id: nodeId } = await enrolNode(controlPlane, 'Administered'));
    folder = mkdtempSync(join(tmpdir(), 'gj-admin-node-'));
    const file = (name: string, text: string | Buffer) => {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    env = {
      GJ_ADDRESS: controlPlane.server.address,
      GJ_CA: file('ca.crt', controlPlane.ca),
      GJ_CERT: file('operator.crt', controlPlane.operator.certificatePem),
      GJ_KEY: file('operator.key', controlPlane.operator.privateKeyPem),
    };
  });
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await world.stop();
  });

  const admin = (...args: readonly string[]) => gapJunction(['admin', 'node', ...args], { env });

  it('cordons, drains and uncordons, and shows what the node then is', async () => {
    const cordoned = await admin('cordon', nodeId, '--reason', 'noisy');
    expect(cordoned, cordoned.stderr).to.have.property('exitCode', 0);
    expect(cordoned.stdout).to.match(/ is cordoned: /);
    expect((await admin(nodeId)).stdout).to.match(/^standing +CORDONED$/m);
    const drained = await admin('drain', nodeId, '--reason', 'leaving', '--wait', '--json');
    expect(JSON.parse(drained.stdout)).to.include({
      nodeId,
      standing: 'STANDING_DRAINING',
      leases: 0,
    });
    const back = await admin('uncordon', nodeId, '--reason', 'stays', '--json');
    expect(JSON.parse(back.stdout)).to.include({ nodeId, standing: 'STANDING_ENROLLED' });
  });

  it('says what is missing, or that there is no such node', async () => {
    const reasonless = await admin('drain', nodeId);
    expect(reasonless.exitCode).to.equal(2);
    expect(reasonless.stderr).to.contain('--reason');
    const nobody = await admin('cordon', 'n-nobody', '--reason', 'x');
    expect(nobody.exitCode).to.equal(1);
    expect(nobody.stderr).to.contain('n-nobody').and.contain('NOT_FOUND');
  });

  it('drain --wait tells what is left, and ends when the node runs nothing any more', async () => {
    const { folder: machine, dispose } = temporaryFolder();
    await enrolIn(world, machine, { accountName: `Drained ${randomUUID()}` });
    const agent = startAgent(machine);
    await agent.record.next('ready');
    const client = await ClientOfJobs.open(controlPlane);
    const jobId = await client.submit(ENDLESS);
    await agent.record.next('job_started');
    const drained = openIdentity(machine).nodeId;

    const drain = spawn(
      process.execPath,
      ['cli/gap-junction.mjs', 'admin', 'node', 'drain', drained, '--reason', 'x', '--wait'],
      { env: { ...process.env, ...env }, stdio: 'pipe' },
    );
    const [told] = (await once(drain.stderr.setEncoding('utf8'), 'data')) as [string];
    expect(told).to.equal(`${drained} is draining: 1 lease left\n`);
    await client.jobs.cancelJob({ jobId });
    const [[printed]] = (await Promise.all([
      once(drain.stdout.setEncoding('utf8'), 'data'),
      once(drain, 'close'),
    ])) as [[string], unknown];
    expect(printed).to.equal(`${drained} is drained\n`);
    expect(drain.exitCode).to.equal(0);

    // Nothing new comes until the drain is taken back.
    const next = await client.submit(NOTHING);
    await admin('uncordon', drained, '--reason', 'x');
    expect((await agent.record.next('job_started', 2)).jobId).to.equal(next);
    await agent.stop();
    dispose();
  });
});
