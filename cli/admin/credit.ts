import { Command } from 'commander';

import { ClientAdminService, ClientSchema } from '#gen/gapjunction/admin/v1/client_admin_pb';

import { positiveBigint } from '../arguments.ts';
import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { CommandError } from '../failure.ts';
import { centsText, print, printMessage } from '../output.ts';
import { requestIdOption, underRequestId } from '../request-id.ts';

interface CreditOptions extends ConnectionOptions {
  readonly requestId?: string;
  readonly json?: boolean;
}

export function creditCommand(): Command {
  return withConnection(new Command('credit'))
    .description("add to a client's balance")
    .argument('<client>', 'its id, c-...')
    .argument('<microcents>', 'whole microcents: 1,000,000 are a US cent', positiveBigint)
    .addOption(requestIdOption())
    .option('--json', 'print the client as JSON')
    .action(async (clientId: string, amountMicrocents: bigint, options: CreditOptions) => {
      const { client } = await connected(options, (connection) =>
        underRequestId(
          (requestId) =>
            connection
              .client(ClientAdminService)
              .creditClient({ requestId, clientId, amountMicrocents }),
          options,
        ),
      );
      if (client === undefined) throw new CommandError('crediting: the answer is empty');
      if (options.json) printMessage(ClientSchema, client);
      else print(`${clientId}  available ${centsText(client.availableMicrocents)}`);
    });
}
