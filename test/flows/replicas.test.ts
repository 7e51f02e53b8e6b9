// Two replicas share a control plane: what is asked of one is done by the other.
import { randomUUID } from 'node:crypto';

import type { Client } from '@connectrpc/connect';
import { expect } from 'chai';

import { AuditService } from '#gen/gapjunction/admin/v1/audit_pb';
import { NodeAdminService } from '#gen/gapjunction/admin/v1/node_admin_pb';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState, JobService, JobState, type Job } from '#gen/gapjunction/job/v1/job_pb';

import type { EnrolledAgent, LocalClient } from '../../cli/local-system.ts';
import { pushModule } from '../../cli/module/push.ts';
import type { Program } from '../../cli/processes.ts';
import { whenAll } from '../all.ts';
import { ENDLESS, REVERSE, wasmOf } from '../fakes/job-client.ts';
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { startRedis, type TestRedis } from '../fakes/redis.ts';
import { ReplicasWorld, type Replica } from './replicas-world.ts';

whenAll('two replicas of one control plane', () => {
  let postgresql: Postgresql;
  let redis: TestRedis;
  let world: ReplicasWorld;
  let one: Replica;
  let two: Replica;
  let client: LocalClient;
  let node: EnrolledAgent;
  let agent: Program;
  const digests: { reverse: Uint8Array; endless: Uint8Array } = {
    reverse: new Uint8Array(),
    endless: new Uint8Array(),
  };

  before(async () => {
    postgresql = await startPostgresql();
    redis = await startRedis(['--maxmemory-policy', 'noeviction']);
    world = new ReplicasWorld({ databaseUrl: postgresql.newDatabase(), redisUrl: redis.url });
    // At the same moment, on an empty database and an empty folder.
    [one, two] = await Promise.all([world.start(), world.start()]);
    client = await world.client(one);
    for (const [name, text] of [
      ['reverse', REVERSE],
      ['endless', ENDLESS],
    ] as const) {
      const { blob } = await pushModule(world.connect(one, client), await wasmOf(text));
      digests[name] = blob?.digest ?? new Uint8Array();
    }
    // Enrolled at one, working for the other.
    node = await world.enrol(one, 'Owner');
    agent = await world.run(node, two);
  });
  after(async () => {
    await world.dispose();
    await redis.stop();
    postgresql.stop();
  });

  const jobsAt = (replica: Replica) => world.connect(replica, client).client(JobService);

  async function submit(jobs: Client<typeof JobService>, digest: Uint8Array): Promise<string> {
    const spec = {
      moduleDigest: digest,
      input: { case: 'inlineInput', value: Buffer.from('abc') } as const,
    };
    const { job } = await jobs.submitJob({ requestId: randomUUID(), spec });
    return job?.jobId ?? '';
  }

  async function until(
    jobs: Client<typeof JobService>,
    jobId: string,
    isSo: (job: Job) => boolean,
  ): Promise<Job> {
    for await (const { job } of jobs.watchJob({ jobId })) if (job && isSo(job)) return job;
    throw new Error(`The job '${jobId}' ended before it was so`);
  }
  const hasEnded = ({ state }: Job) => state === JobState.ENDED;

  it('that start together have one root and one first operator, who is known to both', async () => {
    expect(two.caFingerprint).to.equal(one.caFingerprint);
    for (const replica of [one, two]) {
      const audit = world.connect(replica, one.operator).client(AuditService);
      const { entries } = await audit.listEntries({});
      const issued = entries.filter(({ details }) => details['role'] === 'operator');
      expect(issued).to.have.length(1);
    }
  });

  it('run a job that is submitted at one on a node of the other, and tell its end at both', async () => {
    const [here, there] = [jobsAt(one), jobsAt(two)];
    const jobId = await submit(here, digests.reverse);
    const ends = await Promise.all([here, there].map((jobs) => until(jobs, jobId, hasEnded)));
    for (const { end, chargeMicrocents } of ends) {
      expect(end).to.equal(JobEnd.SUCCEEDED);
      expect(chargeMicrocents).to.equal(ends[0]?.chargeMicrocents);
    }
  });

  it('stop a job on a node of the other when it is cancelled', async () => {
    const jobs = jobsAt(one);
    const jobId = await submit(jobs, digests.endless);
    await until(
      jobs,
      jobId,
      ({ attempts }) => attempts.at(-1)?.state === AttemptState.ACKNOWLEDGED,
    );
    await jobs.cancelJob({ jobId });
    expect((await until(jobs, jobId, hasEnded)).end).to.equal(JobEnd.CANCELLED);
  });

  it('turn a node of the other away at once when it is revoked', async () => {
    const { nodeId } = node;
    await world
      .connect(one, one.operator)
      .client(NodeAdminService)
      .revokeNode({ nodeId, reason: 'tried' });
    expect(await agent.ended()).not.to.equal(0);
    expect(agent.log).to.match(/revoked|REVOKED/);
  });
});
