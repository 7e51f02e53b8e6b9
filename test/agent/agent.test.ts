import { execFile } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect } from 'chai';

import { NodeAdminService } from '#gen/gapjunction/admin/v1/node_admin_pb';
import { AttemptState, JobState, type Job } from '#gen/gapjunction/job/v1/job_pb';

import { AgentError } from '../../agent/error.ts';
import type { AgentFolder } from '../../agent/folder.ts';
import { openIdentity } from '../../agent/identity/identity.ts';
import { readStatus } from '../../agent/status.ts';
import { Program } from '../../cli/processes.ts';
import { readBillFile } from '../../protocol/bill/bill-file.ts';
import { endName } from '../../protocol/bill/ends.ts';
import { verifyBill } from '../../protocol/bill/verify.ts';
import { temporaryFolder } from '../fakes/agent.ts';
import {
  enrolIn,
  startAgent,
  startAgentWorld,
  stopAgents,
  type AgentWorld,
} from '../fakes/agent-world.ts';
import { ClientOfJobs, ENDLESS, LONG_OUTPUT, NOTHING, REVERSE } from '../fakes/job-client.ts';

const COMMAND = fileURLToPath(new URL('../../cli/gap-junction.mjs', import.meta.url));

describe('an agent with a real control plane', () => {
  let world: AgentWorld;
  let client: ClientOfJobs;
  let folder: AgentFolder;
  let dispose: () => void;
  beforeEach(async () => {
    // A beat a second: what is missing from two of them is noticed while a test waits, and a machine that
    // is busy with other tests is not taken for lost.
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
  // An order that was not acknowledged is sent again under the same attempt.
  const isAcknowledged = ({ attempts }: Job): boolean =>
    attempts.at(-1)?.state === AttemptState.ACKNOWLEDGED;

  it('runs a job and holds a bill that verifies, as the client does', async () => {
    const agent = startAgent(folder);
    await agent.record.next('ready');
    const { job, bill } = await client.watch(
      await client.submit(REVERSE, { input: Buffer.from('stressed') }),
    );
    expect(endName(job.end)).to.equal('SUCCEEDED');
    await agent.record.next('job_settled');
    const { stdout } = await promisify(execFile)(process.execPath, [
      COMMAND,
      'agent',
      'bill',
      job.jobId,
      '--data-dir',
      folder.path,
    ]);
    const kept = readBillFile(Buffer.from(stdout));
    const report = await verifyBill(kept, {
      rootCertificate: new X509Certificate(world.controlPlane.ca),
    });
    expect(report.checks.filter(({ status }) => status === 'failed')).to.deep.equal([]);
    expect(report.ok).to.equal(true);
    expect(kept.settlement).to.deep.equal(bill?.settlement);
    expect(Buffer.from(report.receipt?.output.digest ?? [])).to.deep.equal(
      createHash('sha256').update('desserts').digest(),
    );
    expect(statSync(join(folder.journalFolder, 'receipts.log')).size).to.equal(0);
    expect(readStatus(folder)?.nodeId).to.equal(openIdentity(folder).nodeId);
    await agent.stop();
  });

  it('uploads an output that is too long for its receipt', async () => {
    const agent = startAgent(folder);
    await agent.record.next('ready');
    const job = await client.run(LONG_OUTPUT);
    expect(endName(job.end), job.endDetail).to.equal('SUCCEEDED');
    const output = await client.outputOf(job);
    expect(output.length).to.equal(2 * 2 ** 20);
    await agent.stop();
  });

  it('keeps up with many jobs at a time on two slots', async () => {
    const agent = startAgent(folder, { slots: 2 });
    await agent.record.next('ready');
    const ends = await Promise.all(
      Array.from({ length: 24 }, async () => endName((await client.run(NOTHING)).end)),
    );
    expect(ends).to.deep.equal(Array.from({ length: 24 }, () => 'SUCCEEDED'));
    await agent.record.next('job_settled', 24);
    await agent.stop();
    const [segment] = readdirSync(folder.billFolder);
    const bills = readFileSync(join(folder.billFolder, segment ?? ''), 'utf8');
    expect(bills.trimEnd().split('\n')).to.have.length(24);
    await agent.stop();
  });

  it('stops a guest that the client cancels, and is paid for what it burnt', async () => {
    const agent = startAgent(folder);
    await agent.record.next('ready');
    const jobId = await client.submit(ENDLESS);
    await client.watch(jobId, isRunning);
    await agent.record.next('job_started');
    await client.jobs.cancelJob({ jobId });
    const { job } = await client.watch(jobId);
    expect(endName(job.end)).to.equal('CANCELLED');
    await agent.record.next('job_settled');
    await agent.stop();
  });

  it('runs a job again after a kill -9 in its middle, and the job ends once', async () => {
    const killed = new Program('agent run', COMMAND, [
      'agent',
      'run',
      '--data-dir',
      folder.path,
      '--json',
    ]);
    await killed.event('ready');
    const jobId = await client.submit(ENDLESS);
    await killed.event('job_started');
    await client.watch(jobId, isAcknowledged);
    await killed.stop('SIGKILL');
    const again = startAgent(folder);
    await again.record.next('job_started');
    await client.jobs.cancelJob({ jobId });
    const { job } = await client.watch(jobId);
    expect(endName(job.end)).to.equal('CANCELLED');
    expect(job.attempts).to.have.length(2);
    await again.record.next('job_settled');
    expect(again.record.events.filter(({ event }) => event === 'job_settled')).to.have.length(1);
    await again.stop();
  });

  it('gives a running job back at once when its owner stops it', async () => {
    const agent = startAgent(folder, { graceMs: 0 });
    await agent.record.next('ready');
    const jobId = await client.submit(ENDLESS);
    await client.watch(jobId, isRunning);
    await agent.record.next('job_started');
    await agent.stop();
    expect(await agent.record.next('job_ended')).to.include({
      end: 'NODE_FAULT',
      endDetail: 'AGENT_STOPPED',
    });
    const { job } = await client.jobs.getJob({ jobId });
    await client.jobs.cancelJob({ jobId });
    expect(job?.attempts[0]?.failure).to.equal('AGENT_STOPPED');
  });

  it('lets a running job finish when its owner stops it, and takes no other', async () => {
    const agent = startAgent(folder, { graceMs: 20_000 });
    await agent.record.next('ready');
    const jobId = await client.submit(ENDLESS, { limits: { deadlineEpochs: 50 } });
    await client.watch(jobId, isRunning);
    await agent.record.next('job_started');
    await agent.stop();
    const { job } = await client.watch(jobId);
    expect(endName(job.end)).to.equal('DEADLINE_EXCEEDED');
  });

  it('renews its certificate and goes on under it', async () => {
    const first = openIdentity(folder);
    // One renewal at once, the next at its usual time.
    const chances = [-20];
    const agent = startAgent(folder, {
      random: () => chances.shift() ?? 0.5,
    });
    await agent.record.next('renewed');
    await agent.record.next('ready');
    const renewed = openIdentity(folder);
    expect(renewed.nodeId).to.equal(first.nodeId);
    expect(renewed.key.keyId).not.to.deep.equal(first.key.keyId);
    expect(renewed.record.renewalCounter).to.equal(1);
    const job = await client.run(NOTHING);
    expect(endName(job.end)).to.equal('SUCCEEDED');
    await agent.record.next('job_settled');
    await agent.stop();
    expect(openIdentity(folder).retired).to.deep.equal([]);
    expect(readdirSync(folder.keyFolder)).to.have.length(1);
  });

  it('does not start twice in one folder', async () => {
    const agent = startAgent(folder);
    await agent.record.next('ready');
    const error = await startAgent(folder).ended.catch((cause: unknown) => cause);
    expect(error).to.be.instanceOf(AgentError).and.include({ reason: 'FOLDER_IN_USE' });
    await agent.stop();
  });

  it('ends and says why when an operator revokes the node', async () => {
    const agent = startAgent(folder);
    const { nodeId } = await agent.record.next('ready');
    const nodes = world.controlPlane.clientFor(NodeAdminService, world.controlPlane.operator);
    const ended = agent.ended.catch((cause: unknown) => cause);
    await nodes.revokeNode({ nodeId, reason: 'a test' });
    expect(await ended)
      .to.be.instanceOf(AgentError)
      .and.include({ reason: 'NODE_NOT_ALLOWED' });
  });

  it('is not believed beside another copy of its files: one of the two ends and says why, the other works on', async () => {
    const copy = temporaryFolder();
    try {
      cpSync(folder.path, copy.folder.path, { recursive: true });
      const first = startAgent(folder);
      await first.record.next('ready');
      const second = startAgent(copy.folder);
      // Each takes over from the other, until one has heard of it twice or is refused a beat.
      const { agent: ended, error } = await Promise.race(
        [first, second].map(async (agent) => ({
          agent,
          error: await agent.ended.catch((cause: unknown) => cause),
        })),
      );
      expect(error).to.be.instanceOf(AgentError).and.include({ reason: 'NODE_SUPERSEDED' });
      const job = await client.run(NOTHING);
      expect(endName(job.end)).to.equal('SUCCEEDED');
      await (ended === first ? second : first).stop();
    } finally {
      copy.dispose();
    }
  });

  it('shows its node, its last beat and its earnings', async () => {
    const agent = startAgent(folder);
    await agent.record.next('ready');
    await client.run(NOTHING);
    const { nodeShareMicrocents } = await agent.record.next('job_settled');
    const { stdout } = await promisify(execFile)(process.execPath, [
      COMMAND,
      'agent',
      'status',
      '--data-dir',
      folder.path,
      '--json',
    ]);
    expect(JSON.parse(stdout)).to.include({
      nodeId: openIdentity(folder).nodeId,
      running: true,
      pendingMicrocents: nodeShareMicrocents,
      settledJobs: '1',
    });
    await agent.stop();
  });
});
