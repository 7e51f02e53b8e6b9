import type { MessageInitShape } from '@bufbuild/protobuf';
import { Command } from 'commander';

import {
  JobSchema,
  JobService,
  type Job,
  type JobSpecSchema,
} from '#gen/gapjunction/job/v1/job_pb';

import type { Clock } from '../../agent/clock.ts';
import {
  connected,
  withConnection,
  type Connection,
  type ConnectionOptions,
} from '../connection.ts';
import { CommandError } from '../failure.ts';
import { print, printMessage, progress } from '../output.ts';
import { requestIdOption, underRequestId } from '../request-id.ts';
import { acknowledge } from './acknowledge.ts';
import { addPlacementOptions, type PlacementOptions } from './placement.ts';
import { addJobOptions, prepareJob, type JobOptions } from './spec.ts';
import { addResultOptions, watchToEnd, type ResultOptions } from './result.ts';

interface SubmitOptions extends ConnectionOptions, JobOptions, PlacementOptions, ResultOptions {
  readonly wait?: boolean;
  readonly ack?: boolean;
  readonly requestId?: string;
  readonly json?: boolean;
}

/** Submits one job, however often the call has to be made. */
export async function submitJob(
  connection: Connection,
  spec: MessageInitShape<typeof JobSpecSchema>,
  options: { readonly requestId?: string; readonly clock?: Clock } = {},
): Promise<Job> {
  const jobs = connection.client(JobService);
  const { job } = await underRequestId((requestId) => jobs.submitJob({ requestId, spec }), options);
  if (job === undefined) throw new CommandError('submitting the job: the answer is empty');
  return job;
}

export function jobSubmitCommand(): Command {
  return addResultOptions(addPlacementOptions(addJobOptions(withConnection(new Command('submit')))))
    .description('run a module as a job')
    .addOption(requestIdOption())
    .option('--wait', 'watch it to its end; implied by --output, --bill and --ack')
    .option(
      '--ack',
      'acknowledge the output once it is written: it is erased then; waits for the end',
    )
    .option('--json', 'print the job as JSON')
    .action(async (file: string, options: SubmitOptions) => {
      await connected(options, async (connection) => {
        const spec = await prepareJob(connection, file, options);
        const job = await submitJob(connection, spec, options);
        const { wait, output, bill, ack } = options;
        if (options.debug)
          progress(`see its logs with \`gap-junction job logs ${job.jobId} --follow\``);
        if (wait || ack || output !== undefined || bill !== undefined) {
          await watchToEnd(connection, job.jobId, options);
          if (ack) await acknowledge(connection, job.jobId);
        } else if (options.json) printMessage(JobSchema, job);
        else print(job.jobId);
      });
    });
}
