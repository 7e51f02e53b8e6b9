import { Command } from 'commander';

import { EntrySchema } from '#gen/gapjunction/job/v1/bill_pb';
import { IsolationLevel, IsolationLevelSchema } from '#gen/gapjunction/job/v1/isolation_pb';
import {
  AttemptStateSchema,
  JobSchema,
  JobService,
  JobState,
  JobStateSchema,
  type Attempt,
  type Job,
} from '#gen/gapjunction/job/v1/job_pb';

import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { CommandError } from '../failure.ts';
import { centsText, digestText, enumText, print, printMessage, timeText } from '../output.ts';
import { describeEnd } from './result.ts';

export function jobGetCommand(): Command {
  return withConnection(new Command('get'))
    .description('a job, and each of its attempts')
    .argument('<job>', 'its id, j-...')
    .option('--json', 'print it as JSON')
    .action(async (jobId: string, options: ConnectionOptions & { json?: boolean }) => {
      const { job } = await connected(options, (connection) =>
        connection.client(JobService).getJob({ jobId }),
      );
      if (job === undefined) throw new CommandError(`getting ${jobId}: the answer is empty`);
      if (options.json) printMessage(JobSchema, job);
      else describe(job);
    });
}

function describe(job: Job): void {
  print(`job        ${job.jobId}`);
  print(`state      ${enumText(JobStateSchema, job.state)}`);
  if (job.state === JobState.ENDED) print(`end        ${describeEnd(job)}`);
  print(`module     ${digestText(job.module!.digest)}  ${job.module!.sizeBytes} bytes`);
  print(`entry      ${enumText(EntrySchema, job.entry)}`);
  print(`held       ${centsText(job.holdMicrocents)}`);
  print(`submitted  ${timeText(job.submittedAt)}, as request ${job.requestId}`);
  print(`priority   ${job.priority}`);
  describeConstraints(job);
  print(`timeouts   ${timeoutsText(job)}`);
  if (job.cancelRequested) print(`stop       asked for, ${job.cancelReason}`);
  for (const attempt of job.attempts) describeAttempt(attempt);
}

function describeConstraints({ constraints }: Job): void {
  const labels = Object.entries(constraints?.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  const level = constraints?.isolationLevel ?? IsolationLevel.UNSPECIFIED;
  const isolation =
    level === IsolationLevel.UNSPECIFIED
      ? []
      : [`isolation at least ${enumText(IsolationLevelSchema, level)}`];
  if (labels.length + isolation.length === 0) return;
  print(`only on    nodes with ${[...labels, ...isolation].join(', ')}`);
}

function timeoutsText({ queueTimeoutMs, totalTimeoutMs }: Job): string {
  const total = totalTimeoutMs === 0n ? 'no end to the whole' : `${totalTimeoutMs} ms in all`;
  return `${queueTimeoutMs} ms in the queue, ${total}`;
}

function describeAttempt(attempt: Attempt): void {
  const { attemptId, nodeId, failure, leasedAt, endedAt, progressFuel } = attempt;
  const state = enumText(AttemptStateSchema, attempt.state);
  print(`attempt    ${attemptId} on ${nodeId}  ${state} ${failure}`.trimEnd());
  const end = endedAt === undefined ? `fuel so far ${progressFuel}` : `to ${timeText(endedAt)}`;
  print(`           from ${timeText(leasedAt)} ${end}`);
}
