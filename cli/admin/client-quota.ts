import { Command } from 'commander';

import { ClientAdminService, ClientSchema } from '#gen/gapjunction/admin/v1/client_admin_pb';

import { positiveBigint, positiveNumber } from '../arguments.ts';
import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { CommandError } from '../failure.ts';
import { print, printMessage } from '../output.ts';

interface QuotaOptions extends ConnectionOptions {
  readonly jobsInFlight?: number;
  readonly jobsQueued?: number;
  readonly fuelPerHour?: bigint;
  readonly blobBytes?: bigint;
  readonly weight?: number;
  readonly json?: boolean;
}

export function clientQuotaCommand(): Command {
  return withConnection(new Command('quota'))
    .description('set what a client may use; what is not named has its default from then on')
    .argument('<client>', 'its id, c-...')
    .option('--jobs-in-flight <number>', 'jobs that hold a lease', positiveNumber)
    .option('--jobs-queued <number>', 'jobs that wait', positiveNumber)
    .option('--fuel-per-hour <fuel>', 'burnt within an hour, or reserved', positiveBigint)
    .option('--blob-bytes <bytes>', 'stored', positiveBigint)
    .option(
      '--weight <number>',
      'its share of the nodes: twice that of a client of half the weight',
      positiveNumber,
    )
    .option('--json', 'print the client as JSON')
    .action(async (clientId: string, options: QuotaOptions) => {
      const { jobsInFlight, jobsQueued, fuelPerHour, blobBytes, weight } = options;
      const { client } = await connected(options, (connection) =>
        connection.client(ClientAdminService).setClientQuota({
          clientId,
          quota: { jobsInFlight, jobsQueued, fuelPerHour, blobBytes, weight },
        }),
      );
      const quota = client?.quota;
      if (client === undefined || quota === undefined) {
        throw new CommandError('setting the quota: the answer is empty');
      }
      if (options.json) return printMessage(ClientSchema, client);
      print(
        `${clientId}  jobs in flight ${quota.jobsInFlight}  queued ${quota.jobsQueued}  fuel per hour ${quota.fuelPerHour}  blob bytes ${quota.blobBytes}  weight ${quota.weight}`,
      );
    });
}
