import { Command } from 'commander';

import { NodeAdminService, NodeSchema } from '#gen/gapjunction/admin/v1/node_admin_pb';

import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { CommandError } from '../failure.ts';
import { print, printMessage } from '../output.ts';

interface RevokeOptions extends ConnectionOptions {
  readonly reason: string;
  readonly json?: boolean;
}

export function revokeCommand(): Command {
  return withConnection(new Command('revoke'))
    .description("end a node's certificates and streams")
    .argument('<node>', 'its id, n-...')
    .requiredOption('--reason <text>', 'for the audit log')
    .option('--json', 'print the node as JSON')
    .action(async (nodeId: string, options: RevokeOptions) => {
      const { node } = await connected(options, (connection) =>
        connection.client(NodeAdminService).revokeNode({ nodeId, reason: options.reason }),
      );
      if (node === undefined) throw new CommandError(`revoking ${nodeId}: the answer is empty`);
      if (options.json) printMessage(NodeSchema, node);
      else print(`${nodeId} is revoked; its owner may enrol again with --replace`);
    });
}
