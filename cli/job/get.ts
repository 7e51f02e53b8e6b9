import { Command } from 'commander';

import { EntrySchema } from '#gen/gapjunction/job/v1/bill_pb';
import {
  AttemptStateSchema,
  JobSchema,
  JobService,
  JobState,
  JobStateSchema,
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
  print(`submitted  ${timeText(job.submittedAt)}`);
  for (const attempt of job.attempts) {
    const state = enumText(AttemptStateSchema, attempt.state);
    print(
      `attempt    ${attempt.attemptId} on ${attempt.nodeId}  ${state} ${attempt.failure}`.trimEnd(),
    );
  }
}
