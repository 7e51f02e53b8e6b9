import { Command } from 'commander';

import { EntrySchema } from '#gen/gapjunction/job/v1/bill_pb';
import { JobService, ListModulesResponseSchema } from '#gen/gapjunction/job/v1/job_pb';

import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { digestText, enumText, printMessage, printTable, timeText } from '../output.ts';
import { addPageOptions, tellNextPage, type PageOptions } from '../page.ts';

export function moduleListCommand(): Command {
  return addPageOptions(withConnection(new Command('list')))
    .description('your modules, newest first')
    .option('--json', 'print the page as JSON')
    .action(async (options: ConnectionOptions & PageOptions & { json?: boolean }) => {
      const page = await connected(options, (connection) =>
        connection
          .client(JobService)
          .listModules({ pageSize: options.pageSize, pageToken: options.pageToken }),
      );
      if (options.json) return printMessage(ListModulesResponseSchema, page);
      printTable(
        ['MODULE', 'BYTES', 'ENTRY', 'REGISTERED'],
        page.modules.map((module) => [
          digestText(module.blob!.digest),
          String(module.blob!.sizeBytes),
          module.entries.map((entry) => enumText(EntrySchema, entry)).join(','),
          timeText(module.registeredAt),
        ]),
      );
      tellNextPage(page);
    });
}
