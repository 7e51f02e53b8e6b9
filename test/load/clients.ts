// A program of its own: clients who submit no-op jobs at a steady rate and watch each to its end. Tells
// `result` when every job that was submitted within the time has ended.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { Entry, JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { JobService } from '#gen/gapjunction/job/v1/job_pb';
import { uploadBlob } from '../../cli/blobs.ts';
import { openConnection } from '../../cli/connection.ts';
import { systemClock } from '../../server/clock.ts';
import { NOTHING, wasmOf } from '../fakes/job-client.ts';

const { values } = parseArgs({
  options: {
    address: { type: 'string' },
    ca: { type: 'string' },
    cert: { type: 'string' },
    key: { type: 'string' },
    rate: { type: 'string' },
    seconds: { type: 'string' },
  },
});

function required(name: keyof typeof values): string {
  const value = values[name];
  if (value === undefined) throw new Error(`starting the clients: --${name} is missing`);
  return value;
}

const connection = openConnection(required('address'), {
  ca: readFileSync(required('ca')),
  cert: readFileSync(required('cert')),
  key: readFileSync(required('key')),
});
const jobs = connection.client(JobService);
const digest = await uploadBlob(connection.client(BlobService), await wasmOf(NOTHING));
await jobs.registerModule({ digest });

const tookMs: number[] = [];
const problems: string[] = [];

async function runJob(): Promise<void> {
  const startedMs = systemClock.now();
  try {
    const { job } = await jobs.submitJob({
      requestId: randomUUID(),
      spec: { moduleDigest: digest, entry: Entry.RUN, limits: { fuel: 1_000_000n } },
    });
    for await (const { job: now } of jobs.watchJob({ jobId: job!.jobId })) {
      if (now?.end === JobEnd.SUCCEEDED) tookMs.push(systemClock.now() - startedMs);
      else if (now !== undefined && now.end !== JobEnd.UNSPECIFIED) {
        problems.push(`a job ended ${now.end} ${now.endDetail}`);
      }
    }
  } catch (cause) {
    problems.push(cause instanceof Error ? cause.message : String(cause));
  }
}

const running = new Set<Promise<void>>();
const total = Math.round(Number(required('rate')) * Number(required('seconds')));
const startMs = systemClock.now();
for (let submitted = 0; submitted < total; submitted++) {
  const dueMs = startMs + (submitted * 1_000) / Number(required('rate'));
  const waitMs = dueMs - systemClock.now();
  if (waitMs > 0) await new Promise<void>((resolve) => systemClock.after(waitMs, resolve));
  const job: Promise<void> = runJob().finally(() => running.delete(job));
  running.add(job);
}
await Promise.all(running);
connection.close();
process.stdout.write(
  `${JSON.stringify({ event: 'result', submitted: total, tookMs, problems })}\n`,
);
