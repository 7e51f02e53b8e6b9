import { Command } from 'commander';

import { JobService, QuoteJobResponseSchema } from '#gen/gapjunction/job/v1/job_pb';

import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { centsText, print, printMessage } from '../output.ts';
import { addJobOptions, prepareJob, type JobOptions } from './spec.ts';

export function jobQuoteCommand(): Command {
  return addJobOptions(withConnection(new Command('quote')))
    .description('what a job would cost at most; nothing is run')
    .option('--json', 'print the quote as JSON')
    .action(async (file: string, options: ConnectionOptions & JobOptions & { json?: boolean }) => {
      const quote = await connected(options, async (connection) =>
        connection
          .client(JobService)
          .quoteJob({ spec: await prepareJob(connection, file, options) }),
      );
      if (options.json) return printMessage(QuoteJobResponseSchema, quote);
      print(`at most   ${centsText(quote.holdMicrocents)}  (held at submit, the rest released)`);
      print(`at least  ${centsText(quote.leastMicrocents)}`);
      print(`fuel      ${quote.limits!.fuel}`);
    });
}
