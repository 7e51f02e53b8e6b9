import { Command } from 'commander';

import {
  ClientAdminService,
  ClientSchema,
  type Client,
} from '#gen/gapjunction/admin/v1/client_admin_pb';

import type { Clock } from '../../agent/clock.ts';
import { positiveBigint } from '../arguments.ts';
import {
  connected,
  withConnection,
  type Connection,
  type ConnectionOptions,
} from '../connection.ts';
import { CommandError } from '../failure.ts';
import { centsText, print, printMessage } from '../output.ts';
import { requestIdOption, underRequestId } from '../request-id.ts';

interface CreditOptions extends ConnectionOptions {
  readonly requestId?: string;
  readonly json?: boolean;
}

/** Credits once, however often the call has to be made. */
export async function creditClient(
  connection: Connection,
  credit: { readonly clientId: string; readonly amountMicrocents: bigint },
  options: { readonly requestId?: string; readonly clock?: Clock } = {},
): Promise<Client> {
  const clients = connection.client(ClientAdminService);
  const { client } = await underRequestId(
    (requestId) => clients.creditClient({ requestId, ...credit }),
    options,
  );
  if (client === undefined) throw new CommandError('crediting: the answer is empty');
  return client;
}

export function creditCommand(): Command {
  return withConnection(new Command('credit'))
    .description("add to a client's balance")
    .argument('<client>', 'its id, c-...')
    .argument('<microcents>', 'whole microcents: 1,000,000 are a US cent', positiveBigint)
    .addOption(requestIdOption())
    .option('--json', 'print the client as JSON')
    .action(async (clientId: string, amountMicrocents: bigint, options: CreditOptions) => {
      const client = await connected(options, (connection) =>
        creditClient(connection, { clientId, amountMicrocents }, options),
      );
      if (options.json) printMessage(ClientSchema, client);
      else print(`${clientId}  available ${centsText(client.availableMicrocents)}`);
    });
}
