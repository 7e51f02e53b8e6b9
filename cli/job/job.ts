import { Command } from 'commander';

import { jobCancelCommand } from './cancel.ts';
import { jobGetCommand } from './get.ts';
import { jobListCommand } from './list.ts';
import { jobQuoteCommand } from './quote.ts';
import { jobSubmitCommand } from './submit.ts';
import { jobWatchCommand } from './watch.ts';

/** `gap-junction job quote|submit|watch|get|list|cancel` */
export function jobCommand(): Command {
  return new Command('job')
    .addCommand(jobQuoteCommand())
    .addCommand(jobSubmitCommand())
    .addCommand(jobWatchCommand())
    .addCommand(jobGetCommand())
    .addCommand(jobListCommand())
    .addCommand(jobCancelCommand());
}
