import { Command } from 'commander';

import { jobAcknowledgeCommand } from './acknowledge.ts';
import { jobCancelCommand } from './cancel.ts';
import { jobGetCommand } from './get.ts';
import { jobListCommand } from './list.ts';
import { jobLogsCommand } from './logs.ts';
import { jobQuoteCommand } from './quote.ts';
import { jobSubmitCommand } from './submit.ts';
import { jobWatchCommand } from './watch.ts';

/** `gap-junction job quote|submit|watch|logs|get|list|cancel|ack` */
export function jobCommand(): Command {
  return new Command('job')
    .addCommand(jobQuoteCommand())
    .addCommand(jobSubmitCommand())
    .addCommand(jobWatchCommand())
    .addCommand(jobLogsCommand())
    .addCommand(jobGetCommand())
    .addCommand(jobListCommand())
    .addCommand(jobCancelCommand())
    .addCommand(jobAcknowledgeCommand());
}
