import { Command } from 'commander';

import {
  ListNodesResponseSchema,
  LivenessSchema,
  NodeAdminService,
  NodeSchema,
  StandingSchema,
} from '#gen/gapjunction/admin/v1/node_admin_pb';

import { IsolationLevelSchema } from '#gen/gapjunction/job/v1/isolation_pb';

import { connected, withConnection, type ConnectionOptions } from '../connection.ts';
import { CommandError } from '../failure.ts';
import { digestText, enumText, print, printMessage, printTable, timeText } from '../output.ts';
import { addPageOptions, tellNextPage, type PageOptions } from '../page.ts';
import { cordonCommand, drainCommand, uncordonCommand } from './node-standing.ts';

export function nodesCommand(): Command {
  return addPageOptions(withConnection(new Command('nodes')))
    .description('the fleet, newest first')
    .option('--json', 'print the page as JSON')
    .action(async (options: ConnectionOptions & PageOptions & { json?: boolean }) => {
      const { pageSize, pageToken } = options;
      const page = await connected(options, (connection) =>
        connection.client(NodeAdminService).listNodes({ pageSize, pageToken }),
      );
      if (options.json) return printMessage(ListNodesResponseSchema, page);
      printTable(
        ['NODE', 'STANDING', 'LIVENESS', 'SLOTS', 'LEASES', 'LAST BEAT', 'ACCOUNT'],
        page.nodes.map((node) => [
          node.nodeId,
          enumText(StandingSchema, node.standing),
          enumText(LivenessSchema, node.liveness),
          String(node.slots),
          String(node.leases),
          timeText(node.lastBeatAt),
          node.stripeAccountId,
        ]),
      );
      tellNextPage(page);
    });
}

export function nodeCommand(): Command {
  return (
    withConnection(new Command('node'))
      .description('one node, and what work it is given')
      // What stands after `cordon` is cordon's own.
      .enablePositionalOptions()
      .addCommand(cordonCommand())
      .addCommand(uncordonCommand())
      .addCommand(drainCommand())
      .argument('<node>', 'its id, n-...')
      .option('--json', 'print it as JSON')
      .action(async (nodeId: string, options: ConnectionOptions & { json?: boolean }) => {
        const { node } = await connected(options, (connection) =>
          connection.client(NodeAdminService).getNode({ nodeId }),
        );
        if (node === undefined) throw new CommandError(`getting ${nodeId}: the answer is empty`);
        if (options.json) return printMessage(NodeSchema, node);
        print(`node         ${node.nodeId}`);
        print(`account      ${node.stripeAccountId}`);
        print(`standing     ${enumText(StandingSchema, node.standing)}`);
        print(`liveness     ${enumText(LivenessSchema, node.liveness)}`);
        print(`enrolled     ${timeText(node.enrolledAt)}`);
        print(`last beat    ${timeText(node.lastBeatAt)}`);
        print(
          `certificate  until ${timeText(node.certificateExpiresAt)}, key ${digestText(node.keyId)}`,
        );
        print(`slots        ${node.slots}, leases ${node.leases}`);
        const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`);
        print(`labels       ${labels.join(', ') || 'none'}`);
        print(`isolation    ${enumText(IsolationLevelSchema, node.isolationLevel)}`);
        print(`versions     agent ${node.agentVersion}, engine ${node.engineVersion}`);
      })
  );
}
