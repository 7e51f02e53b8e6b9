// No-op jobs from submit to bill: the latency of a warm one, how many a second, and whether the server
// grows. One agent, one client, each program a process of its own on this machine.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

import type { Client } from '@connectrpc/connect';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { JobService } from '#gen/gapjunction/job/v1/job_pb';

import { connect, type Connection } from '../../cli/connection.ts';
import { enrolAgent, openClient, runAgent, type ControlPlane } from '../../cli/local-system.ts';
import { pushModule } from '../../cli/module/push.ts';
import { residentBytes, summaryOf, type Row } from './measure.ts';
import { withControlPlane, type Parts } from './parts.ts';

/** `(module (func (export "run")))` */
const NO_OP_MODULE = Buffer.from(
  '0061736d01000000010401600000030201000707010372756e00000a040102000b',
  'hex',
);

const SLOTS = 8;
const WARM_UP_JOBS = 200;
const LATENCY_JOBS_PER_RUN = 40;
const THROUGHPUT_JOBS_PER_RUN = 200;
const IN_FLIGHT = [1, 8, 32] as const;
const GROWTH_JOBS = 1000;
const MIB_BYTES = 1024 * 1024;

export async function jobs(parts: Parts, runs: number): Promise<Row[]> {
  return withControlPlane(parts, (controlPlane, dataDir) =>
    withClient({ controlPlane, dataDir }, async (connection) => {
      const client = connection.client(JobService);
      const { blob } = await pushModule(connection, NO_OP_MODULE);
      const runOne = () => runJob(client, blob!.digest);
      await inFlight(SLOTS, WARM_UP_JOBS, runOne);
      return [
        await latency(parts, runs, runOne),
        ...(await throughput(parts, runs, runOne)),
        ...(await growth(parts, controlPlane.replicas[0]?.program.pid ?? 0, runOne)),
      ];
    }),
  );
}

async function withClient<T>(
  { controlPlane, dataDir }: { controlPlane: ControlPlane; dataDir: string },
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const node = await enrolAgent(controlPlane, {
    dataDir: join(dataDir, 'agent'),
    accountName: 'Bench',
  });
  const agent = await runAgent(controlPlane, { dataDir: node.dataDir, slots: SLOTS });
  const client = await openClient(controlPlane, {
    dataDir: join(dataDir, 'client'),
    name: 'Bench',
  });
  const connection = connect({ address: controlPlane.address, ca: controlPlane.ca, ...client });
  try {
    return await work(connection);
  } finally {
    connection.close();
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

/** Runs `count` times `run`, `width` of them at any time. */
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

async function latency(parts: Parts, runs: number, run: () => Promise<void>): Promise<Row> {
  const values: number[] = [];
  for (let job = 0; job < runs * LATENCY_JOBS_PER_RUN; job += 1) {
    const before = performance.now();
    await run();
    values.push(performance.now() - before);
  }
  const what = `warm no-op job, submit to bill, ${parts}`;
  return { what, unit: 'ms', summary: summaryOf(values) };
}

async function throughput(parts: Parts, runs: number, run: () => Promise<void>): Promise<Row[]> {
  const rows: Row[] = [];
  for (const width of IN_FLIGHT) {
    const values: number[] = [];
    for (let round = 0; round < runs; round += 1) {
      const before = performance.now();
      await inFlight(width, THROUGHPUT_JOBS_PER_RUN, run);
      values.push((THROUGHPUT_JOBS_PER_RUN * 1000) / (performance.now() - before));
    }
    const what = `no-op jobs, ${width} in flight, ${parts}`;
    rows.push({ what, unit: 'jobs/s', summary: summaryOf(values) });
  }
  return rows;
}

async function growth(parts: Parts, pid: number, run: () => Promise<void>): Promise<Row[]> {
  const before = residentBytes(pid) / MIB_BYTES;
  await inFlight(SLOTS, GROWTH_JOBS, run);
  const after = residentBytes(pid) / MIB_BYTES;
  const what = `server memory, resident, ${parts}`;
  return [
    { what: `${what}, before ${GROWTH_JOBS} more jobs`, unit: 'MiB', summary: summaryOf([before]) },
    { what: `${what}, after`, unit: 'MiB', summary: summaryOf([after]) },
  ];
}
