// No-op jobs on a system of its own: control plane, one agent, one client, each program a process.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

import type { Client } from '@connectrpc/connect';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { JobService } from '#gen/gapjunction/job/v1/job_pb';

import { connect } from '../../cli/connection.ts';
import { enrolAgent, openClient, runAgent } from '../../cli/local-system.ts';
import { pushModule } from '../../cli/module/push.ts';
import { withControlPlane, type ControlPlaneWorld, type Parts } from './parts.ts';
import type { Pids } from './processes.ts';

/** `(module (func (export "run")))` */
const NO_OP_MODULE = Buffer.from(
  '0061736d01000000010401600000030201000707010372756e00000a040102000b',
  'hex',
);

const SLOTS = 8;
const WARM_UP_JOBS = 200;

export interface JobWorld {
  readonly pids: Pids;
  /** Runs `count` jobs, from submit to bill, `width` of them at any time. */
  run(width: number, count: number): Promise<void>;
}

/** Runs `work` on such a system once it is warm. */
export async function withJobs<T>(parts: Parts, work: (world: JobWorld) => Promise<T>): Promise<T> {
  return withControlPlane(parts, (world) =>
    withAgent(world, async (agentPid) => {
      const { controlPlane, dataDir, pids } = world;
      const { address, ca } = controlPlane;
      const identity = await openClient(controlPlane, {
        dataDir: join(dataDir, 'client'),
        name: 'Bench',
      });
      const connection = connect({ address, ca, ...identity });
      try {
        const client = connection.client(JobService);
        const { blob } = await pushModule(connection, NO_OP_MODULE);
        const run = (width: number, count: number) =>
          inFlight(width, count, () => runJob(client, blob!.digest));
        await run(SLOTS, WARM_UP_JOBS);
        return await work({ pids: { ...pids, agent: agentPid, client: process.pid }, run });
      } finally {
        connection.close();
      }
    }),
  );
}

async function withAgent<T>(
  { controlPlane, dataDir }: ControlPlaneWorld,
  work: (agentPid: number) => Promise<T>,
): Promise<T> {
  const node = await enrolAgent(controlPlane, {
    dataDir: join(dataDir, 'agent'),
    accountName: 'Bench',
  });
  const agent = await runAgent(controlPlane, { dataDir: node.dataDir, slots: SLOTS });
  try {
    return await work(agent.pid);
  } finally {
    await agent.stop();
  }
}

/** Submits one and watches it to its bill. */
async function runJob(client: Client<typeof JobService>, moduleDigest: Uint8Array): Promise<void> {
  const { job } = await client.submitJob({ requestId: randomUUID(), spec: { moduleDigest } });
  const { jobId, revision } = job!;
  for await (const update of client.watchJob({ jobId, afterRevision: revision })) {
    if (update.bill === undefined) continue;
    if (update.job?.end !== JobEnd.SUCCEEDED) throw new Error(`${jobId} did not succeed`);
    return;
  }
  throw new Error(`watching ${jobId}: it ended without a bill`);
}

async function inFlight(width: number, count: number, run: () => Promise<void>): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      await run();
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
}
