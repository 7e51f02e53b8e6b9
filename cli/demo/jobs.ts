// One job of the demo, the way any client runs it: push, submit, watch to the bill, fetch the output,
// verify the bill offline, and replay it.
import { X509Certificate, randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';

import { toJsonString, type MessageInitShape } from '@bufbuild/protobuf';

import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import {
  BillSchema,
  JobEndSchema,
  type LimitsSchema,
  type Bill,
} from '#gen/gapjunction/job/v1/bill_pb';
import { JobService, JobState, type Job } from '#gen/gapjunction/job/v1/job_pb';

import { GJ_0_DIGEST_HEX, GJ_0_PROFILE } from '../../metering/metering.ts';
import { verifyBill, type BillReport } from '../../protocol/bill/verify.ts';
import { downloadBlob } from '../blobs.ts';
import type { Connection } from '../connection.ts';
import { CommandError } from '../failure.ts';
import { pushModule } from '../module/push.ts';
import { enumText } from '../output.ts';
import { sandboxReplay } from '../replay.ts';

export interface DemoJob {
  readonly name: string;
  readonly module: string;
  readonly input: Uint8Array;
  readonly limits: MessageInitShape<typeof LimitsSchema>;
}

export interface DemoResult {
  readonly name: string;
  readonly job: Job;
  /** `SUCCEEDED`, `OUT_OF_FUEL`, ... */
  readonly end: string;
  readonly output: Uint8Array;
  readonly bill: Bill;
  readonly billFile: string;
  readonly verification: BillReport;
  readonly replay: BillReport;
}

/** @throws CommandError when the job ends without a bill */
export async function runJob(
  connection: Connection,
  { name, module, input, limits }: DemoJob,
  { ca, billFile }: { readonly ca: string; readonly billFile: string },
): Promise<DemoResult> {
  const bytes = await readFile(module);
  const { blob } = await pushModule(connection, bytes);
  const jobs = connection.client(JobService);
  const submitted = await jobs.submitJob({
    requestId: randomUUID(),
    spec: {
      moduleDigest: blob!.digest,
      input: { case: 'inlineInput', value: input },
      limits,
    },
  });
  const { job, bill } = await lastOf(jobs.watchJob({ jobId: submitted.job!.jobId }), name);
  const output =
    job.output === undefined || job.output.sizeBytes === 0n
      ? new Uint8Array()
      : await downloadBlob(connection.client(BlobService), job.output);
  await writeFile(billFile, `${toJsonString(BillSchema, bill, { prettySpaces: 2 })}\n`);

  const trusted = {
    rootCertificate: new X509Certificate(await readFile(ca)),
    profileDigests: new Map([[GJ_0_PROFILE, Buffer.from(GJ_0_DIGEST_HEX, 'hex')]]),
  };
  const verification = await verifyBill(bill, trusted);
  const replay = await verifyBill(bill, {
    ...trusted,
    replay: sandboxReplay({ module: bytes, input }),
  });
  const end = enumText(JobEndSchema, job.end);
  return { name, job, end, output, bill, billFile, verification, replay };
}

async function lastOf(
  watch: AsyncIterable<{ job?: Job; bill?: Bill }>,
  name: string,
): Promise<{ job: Job; bill: Bill }> {
  for await (const { job, bill } of watch) {
    if (job?.state !== JobState.ENDED) continue;
    if (bill !== undefined) return { job, bill };
    throw new CommandError(
      `running '${name}': it ended ${enumText(JobEndSchema, job.end)} (${job.endDetail}), without a bill`,
    );
  }
  throw new CommandError(`running '${name}': the watch ended before the job did`);
}
