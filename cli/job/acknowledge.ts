import { Command } from 'commander';

import { JobSchema, JobService, type Job } from '#gen/gapjunction/job/v1/job_pb';

import {
  connected,
  withConnection,
  type Connection,
  type ConnectionOptions,
} from '../connection.ts';
import { CommandError } from '../failure.ts';
import { print, printMessage } from '../output.ts';
import { untilThere } from '../retry.ts';

export function jobAcknowledgeCommand(): Command {
  return withConnection(new Command('ack'))
    .description(
      'say that you have what you want of an ended job: its input, output and logs are erased',
    )
    .argument('<job>', 'its id, j-...')
    .option('--json', 'print the job as JSON')
    .action(async (jobId: string, options: ConnectionOptions & { json?: boolean }) => {
      const job = await connected(options, (connection) => acknowledge(connection, jobId));
      if (options.json) printMessage(JobSchema, job);
      else print(`${jobId} is acknowledged: its input, output and logs are erased, its bill stays`);
    });
}

export async function acknowledge(connection: Connection, jobId: string): Promise<Job> {
  const { job } = await untilThere(() =>
    connection.client(JobService).acknowledgeOutput({ jobId }),
  );
  if (job === undefined) throw new CommandError(`acknowledging ${jobId}: the answer is empty`);
  return job;
}
