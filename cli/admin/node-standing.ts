// `gap-junction admin node cordon|uncordon|drain`: what work a node is given.
import { setTimeout as delay } from 'node:timers/promises';

import { Command } from 'commander';

import { NodeAdminService, NodeSchema, type Node } from '#gen/gapjunction/admin/v1/node_admin_pb';

import {
  connected,
  withConnection,
  type Connection,
  type ConnectionOptions,
} from '../connection.ts';
import { CommandError } from '../failure.ts';
import { print, printMessage, progress } from '../output.ts';

/** `node` itself has options of the same names, and takes them wherever they stand. */
interface StandingOptions extends ConnectionOptions {
  readonly reason: string;
  readonly json?: boolean;
}

/** The control plane ends leases about once a second. */
const LOOK_INTERVAL_MS = 1_000;

export function cordonCommand(): Command {
  return standingCommand('cordon', 'give a node no new work; what it runs goes on').action(
    async (nodeId: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<StandingOptions>();
      const { reason } = options;
      const { node } = await connected(options, (connection) =>
        connection.client(NodeAdminService).cordonNode({ nodeId, reason }),
      );
      tell(
        node,
        options,
        `${nodeId} is cordoned: it finishes what it runs and is given nothing new`,
      );
    },
  );
}

export function uncordonCommand(): Command {
  return standingCommand('uncordon', 'give a cordoned or draining node work again').action(
    async (nodeId: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<StandingOptions>();
      const { reason } = options;
      const { node } = await connected(options, (connection) =>
        connection.client(NodeAdminService).uncordonNode({ nodeId, reason }),
      );
      tell(node, options, `${nodeId} is given work again`);
    },
  );
}

export function drainCommand(): Command {
  return standingCommand('drain', 'give a node no new work, and tell it to finish what it runs')
    .option('--wait', 'until it runs nothing any more; Ctrl-C leaves it draining')
    .action(async (nodeId: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<StandingOptions & { readonly wait?: boolean }>();
      const { reason, wait = false } = options;
      const node = await connected(options, async (connection) => {
        const { node: drained } = await connection
          .client(NodeAdminService)
          .drainNode({ nodeId, reason });
        return wait ? untilIdle(connection, nodeId, drained) : drained;
      });
      const leases = node?.leases ?? 0;
      tell(
        node,
        options,
        leases === 0 ? `${nodeId} is drained` : `${nodeId} is draining: ${leasesText(leases)} left`,
      );
    });
}

/** Says each time that the number of leases changed. */
async function untilIdle(
  connection: Connection,
  nodeId: string,
  drained: Node | undefined,
): Promise<Node | undefined> {
  let node = drained;
  let told: number | undefined;
  while (node !== undefined && node.leases > 0) {
    if (node.leases !== told) progress(`${nodeId} is draining: ${leasesText(node.leases)} left`);
    told = node.leases;
    await delay(LOOK_INTERVAL_MS);
    ({ node } = await connection.client(NodeAdminService).getNode({ nodeId }));
  }
  return node;
}

function standingCommand(name: string, description: string): Command {
  return withConnection(new Command(name))
    .description(description)
    .argument('<node>', 'its id, n-...')
    .requiredOption('--reason <text>', 'for the audit log')
    .option('--json', 'print the node as JSON');
}

function tell(node: Node | undefined, { json }: StandingOptions, line: string): void {
  if (node === undefined) throw new CommandError('changing the node: the answer is empty');
  if (json) printMessage(NodeSchema, node);
  else print(line);
}

function leasesText(leases: number): string {
  return leases === 1 ? '1 lease' : `${leases} leases`;
}
