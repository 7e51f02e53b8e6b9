import { Command } from 'commander';

import {
  ClientAdminService,
  ListClientsResponseSchema,
} from '#gen/gapjunction/admin/v1/client_admin_pb';

import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { centsText, printMessage, printTable, timeText } from '../output.ts';
import { addPageOptions, tellNextPage, type PageOptions } from '../page.ts';

export function clientListCommand(): Command {
  return addPageOptions(withConnection(new Command('list')))
    .description('all clients, newest first')
    .option('--json', 'print the page as JSON')
    .action(async (options: ConnectionOptions & PageOptions & { json?: boolean }) => {
      const { pageSize, pageToken } = options;
      const page = await connected(options, (connection) =>
        connection.client(ClientAdminService).listClients({ pageSize, pageToken }),
      );
      if (options.json) return printMessage(ListClientsResponseSchema, page);
      printTable(
        ['CLIENT', 'NAME', 'AVAILABLE', 'HELD', 'SINCE'],
        page.clients.map((client) => [
          client.clientId,
          client.name,
          centsText(client.availableMicrocents),
          centsText(client.heldMicrocents),
          timeText(client.createdAt),
        ]),
      );
      tellNextPage(page);
    });
}
