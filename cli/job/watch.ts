import { Command } from 'commander';

import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { addResultOptions, watchToEnd, type ResultOptions } from './result.ts';

export function jobWatchCommand(): Command {
  return addResultOptions(withConnection(new Command('watch')))
    .description('watch a job to its end')
    .argument('<job>', 'its id, j-...')
    .option('--json', 'print the job as JSON')
    .action(async (jobId: string, options: ConnectionOptions & ResultOptions) => {
      await connected(options, (connection) => watchToEnd(connection, jobId, options));
    });
}
