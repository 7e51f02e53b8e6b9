import { Command, Option } from 'commander';

import { JobEndSchema } from '#gen/gapjunction/job/v1/bill_pb';
import {
  JobService,
  JobState,
  JobStateSchema,
  ListJobsResponseSchema,
} from '#gen/gapjunction/job/v1/job_pb';

import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { centsText, enumText, printMessage, printTable, timeText } from '../output.ts';
import { addPageOptions, tellNextPage, type PageOptions } from '../page.ts';

const STATES: Readonly<Record<string, JobState>> = {
  queued: JobState.QUEUED,
  running: JobState.RUNNING,
  ended: JobState.ENDED,
};

export function jobListCommand(): Command {
  return addPageOptions(withConnection(new Command('list')))
    .description('your jobs, newest first')
    .addOption(new Option('--state <state>', 'only these').choices(Object.keys(STATES)))
    .option('--json', 'print the page as JSON')
    .action(
      async (options: ConnectionOptions & PageOptions & { state?: string; json?: boolean }) => {
        const state = options.state === undefined ? undefined : STATES[options.state];
        const { pageSize, pageToken } = options;
        const page = await connected(options, (connection) =>
          connection.client(JobService).listJobs({ pageSize, pageToken, state }),
        );
        if (options.json) return printMessage(ListJobsResponseSchema, page);
        printTable(
          ['JOB', 'STATE', 'END', 'FUEL', 'CHARGED', 'SUBMITTED'],
          page.jobs.map((job) => [
            job.jobId,
            enumText(JobStateSchema, job.state),
            job.state === JobState.ENDED ? enumText(JobEndSchema, job.end) : '',
            String(job.fuel),
            centsText(job.chargeMicrocents),
            timeText(job.submittedAt),
          ]),
        );
        tellNextPage(page);
      },
    );
}
