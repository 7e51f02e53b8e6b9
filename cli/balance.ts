import { Command } from 'commander';

import { BillingService, GetBalanceResponseSchema } from '#gen/gapjunction/billing/v1/billing_pb';

import { connected, withConnection, type ConnectionOptions } from './connection.ts';
import { centsText, print, printMessage } from './output.ts';

/** `gap-junction balance` */
export function balanceCommand(): Command {
  return withConnection(new Command('balance'))
    .option('--json', 'print it as JSON')
    .action(async (options: ConnectionOptions & { json?: boolean }) => {
      const balance = await connected(options, (connection) =>
        connection.client(BillingService).getBalance({}),
      );
      if (options.json) return printMessage(GetBalanceResponseSchema, balance);
      print(`available  ${centsText(balance.availableMicrocents)}`);
      print(`held       ${centsText(balance.heldMicrocents)}`);
    });
}
