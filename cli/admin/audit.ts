import { Command } from 'commander';

import { AuditService, ListEntriesResponseSchema } from '#gen/gapjunction/admin/v1/audit_pb';

import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { printMessage, printTable, timeText } from '../output.ts';
import { addPageOptions, tellNextPage, type PageOptions } from '../page.ts';

export function auditCommand(): Command {
  return addPageOptions(withConnection(new Command('audit')))
    .description('what was done, by whom, newest first')
    .option('--json', 'print the page as JSON')
    .action(async (options: ConnectionOptions & PageOptions & { json?: boolean }) => {
      const { pageSize, pageToken } = options;
      const page = await connected(options, (connection) =>
        connection.client(AuditService).listEntries({ pageSize, pageToken }),
      );
      if (options.json) return printMessage(ListEntriesResponseSchema, page);
      printTable(
        ['ENTRY', 'AT', 'ACTOR', 'ACTION', 'SUBJECT', 'DETAILS'],
        page.entries.map((entry) => [
          String(entry.entryNumber),
          timeText(entry.at),
          entry.actor,
          entry.action,
          entry.subject,
          JSON.stringify(entry.details),
        ]),
      );
      tellNextPage(page);
    });
}
