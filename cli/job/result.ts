// A job watched to its end: progress to stderr; the output, the bill and the exit code at the end.
import { writeFile } from 'node:fs/promises';

import { toJsonString } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Command } from 'commander';

import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { BillSchema, JobEnd, JobEndSchema, type Bill } from '#gen/gapjunction/job/v1/bill_pb';
import {
  JobSchema,
  JobService,
  JobState,
  JobStateSchema,
  type Job,
} from '#gen/gapjunction/job/v1/job_pb';

import { downloadBlob } from '../blobs.ts';
import type { Connection } from '../connection.ts';
import { CommandError, describeFailure, EXIT } from '../failure.ts';
import { centsText, enumText, printMessage, progress } from '../output.ts';
import { isPassing, Retries } from '../retry.ts';

export interface ResultOptions {
  readonly output?: string;
  readonly bill?: string;
  readonly json?: boolean;
}

export function addResultOptions(command: Command): Command {
  return command
    .option(
      '--output <file>',
      'write the output there; - for standard output (default: standard output, if not --json)',
    )
    .option('--bill <file>', 'write the bill there');
}

/**
 * Watches a job to its end, and writes what it left.
 * Sets the exit code of the process: 0 where it succeeded, EXIT.jobFailed otherwise.
 */
export async function watchToEnd(
  connection: Connection,
  jobId: string,
  options: ResultOptions,
): Promise<void> {
  const { job, bill } = await lastOf(connection, jobId);
  // First of all, so that a file that cannot be written does not hide how the job ended.
  progress(`${jobId} ended: ${describeEnd(job)}`);
  if (options.bill !== undefined) await writeBill(options.bill, bill, jobId);
  if (job.output !== undefined && (options.output !== undefined || !options.json)) {
    const output = await downloadBlob(connection.client(BlobService), job.output);
    if (options.output === undefined || options.output === '-') process.stdout.write(output);
    else await writeKept(options.output, output, `${jobId} --output FILE`);
  }
  if (options.json) printMessage(JobSchema, job);
  if (job.end !== JobEnd.SUCCEEDED) process.exitCode = EXIT.jobFailed;
}

export function describeEnd(job: Job): string {
  const detail = job.endDetail === '' ? '' : ` (${job.endDetail})`;
  return `${enumText(JobEndSchema, job.end)}${detail}, fuel ${job.fuel}, charged ${centsText(job.chargeMicrocents)}`;
}

async function writeBill(path: string, bill: Bill | undefined, jobId: string): Promise<void> {
  if (bill === undefined) {
    progress(`no bill: this end costs nothing, so '${path}' was not written`);
    return;
  }
  const text = `${toJsonString(BillSchema, bill, { prettySpaces: 2 })}\n`;
  await writeKept(path, text, `${jobId} --bill FILE`);
}

/** Writes what the control plane has kept and was paid for: where that fails, says how to get it again. */
async function writeKept(path: string, content: string | Uint8Array, again: string): Promise<void> {
  try {
    await writeFile(path, content);
  } catch (error) {
    const { code = 'failed' } = error as NodeJS.ErrnoException;
    throw new CommandError(
      `writing '${path}': ${code}; nothing is lost, get it with \`gap-junction job watch ${again}\``,
    );
  }
}

async function lastOf(
  connection: Connection,
  jobId: string,
): Promise<{ job: Job; bill: Bill | undefined }> {
  const jobs = connection.client(JobService);
  let revision = 0n;
  const retries = new Retries({ mayBeQuiet: true });
  for (;;) {
    try {
      for await (const { job, bill } of jobs.watchJob({ jobId, afterRevision: revision })) {
        if (job === undefined) continue;
        revision = job.revision;
        retries.reset();
        if (job.state === JobState.ENDED) return { job, bill };
        progress(`${jobId} ${progressText(job)}`);
      }
      throw new ConnectError('the watch ended before its job', Code.Unavailable);
    } catch (error) {
      if (await retries.again(error)) continue;
      if (!isPassing(error)) throw error;
      const { message } = describeFailure(error);
      throw new CommandError(`watching ${jobId}: given up, watch it again: ${message}`);
    }
  }
}

/** `queued`, `running`, or how far it is where its node said so. */
function progressText({ state, attempts }: Job): string {
  const text = enumText(JobStateSchema, state).toLowerCase();
  const fuel = attempts.at(-1)?.progressFuel ?? 0n;
  return state === JobState.RUNNING && fuel > 0n ? `${text}, fuel so far ${fuel}` : text;
}
