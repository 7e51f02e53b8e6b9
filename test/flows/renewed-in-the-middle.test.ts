// A node works on one job while its certificate, and the key that its receipt will be signed under, are
// replaced. Takes the seconds that the guest computes.
import { X509Certificate } from 'node:crypto';

import { expect } from 'chai';

import { JobState } from '#gen/gapjunction/job/v1/job_pb';

import { systemClock } from '../../agent/clock.ts';
import { openIdentity } from '../../agent/identity/identity.ts';
import { renewalTimeMs } from '../../agent/identity/renewal.ts';
import { endName } from '../../protocol/bill/ends.ts';
import { verifyBill } from '../../protocol/bill/verify.ts';
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

/** Long enough for the job to be running, on a busy machine too. */
const RENEW_AFTER_MS = 20_000;

whenAll('a node that renews in the middle of a job', () => {
  let world: AgentWorld;
  beforeEach(async () => {
    world = await startAgentWorld();
  });
  afterEach(async () => {
    await stopAgents();
    await world.stop();
  });

  it('is paid for it under the key of its order, and works on under the new one', async () => {
    const { folder, dispose } = temporaryFolder();
    await enrolIn(world, folder);
    const first = openIdentity(folder);
    const chances = [chanceOf(first.certificate, systemClock.now() + RENEW_AFTER_MS)];
    const client = await ClientOfJobs.open(world.controlPlane);
    const jobId = await client.submit(ENDLESS, { limits: { fuel: 1_000_000_000_000n } });
    const agent = startAgent(folder, { random: () => chances.shift() ?? 0.5 });
    await client.watch(jobId, ({ state }) => state === JobState.RUNNING);
    await agent.record.next('job_started');
    expect(openIdentity(folder).record.renewalCounter, 'not renewed yet').to.equal(0);
    await agent.record.next('renewed');
    expect(agent.record.events.map(({ event }) => event)).not.to.include('job_ended');
    await client.jobs.cancelJob({ jobId });

    const { job, bill } = await client.watch(jobId);
    expect(endName(job.end)).to.equal('CANCELLED');
    expect(job.attempts).to.have.length(1);
    await agent.record.next('job_settled');
    if (bill === undefined) throw new Error('The job has no bill');
    const rootCertificate = new X509Certificate(world.controlPlane.ca);
    const report = await verifyBill(bill, { rootCertificate });
    expect(report.checks.filter(({ status }) => status === 'failed')).to.deep.equal([]);
    expect(Buffer.from(report.order?.nodeKeyId ?? [])).to.deep.equal(Buffer.from(first.key.keyId));

    expect(endName((await client.run(NOTHING)).end)).to.equal('SUCCEEDED');
    await agent.record.next('job_settled', 2);
    await agent.stop();
    const renewed = openIdentity(folder);
    expect(renewed.key.keyId).not.to.deep.equal(first.key.keyId);
    expect(renewed.retired, 'the old key is erased once no order names it').to.deep.equal([]);
    dispose();
  });
});

/** The chance with which a certificate is renewed at this time. */
function chanceOf(certificate: Parameters<typeof renewalTimeMs>[0], atMs: number): number {
  const [least, most] = [renewalTimeMs(certificate, 0), renewalTimeMs(certificate, 1)];
  return (atMs - least) / (most - least);
}
