import { Command } from 'commander';

import { JobSchema, JobService, JobState, type Job } from '#gen/gapjunction/job/v1/job_pb';

import {
  connected,
  withConnection,
  type Connection,
  type ConnectionOptions,
} from '../connection.ts';
import { CommandError } from '../failure.ts';
import { print, printMessage } from '../output.ts';
import { untilThere } from '../retry.ts';
import { describeEnd } from './result.ts';

export function jobCancelCommand(): Command {
  return withConnection(new Command('cancel'))
    .description('ask for the end of a job')
    .argument('<job>', 'its id, j-...')
    .option('--json', 'print the job as JSON')
    .action(async (jobId: string, options: ConnectionOptions & { json?: boolean }) => {
      const job = await connected(options, (connection) => cancelJob(connection, jobId));
      if (options.json) printMessage(JobSchema, job);
      else if (job.state === JobState.ENDED) print(`${jobId} ended: ${describeEnd(job)}`);
      else print(`${jobId} will be stopped by its node; watch it for the end`);
    });
}

/** Safe to repeat: a job that is to end, or has, is answered as it is. */
export async function cancelJob(connection: Connection, jobId: string): Promise<Job> {
  const { job } = await untilThere(() => connection.client(JobService).cancelJob({ jobId }));
  if (job === undefined) throw new CommandError(`cancelling ${jobId}: the answer is empty`);
  return job;
}
