import { Command } from 'commander';

import { auditCommand } from './audit.ts';
import { clientIssueCommand } from './client-issue.ts';
import { clientListCommand } from './client-list.ts';
import { creditCommand } from './credit.ts';
import { nodeCommand, nodesCommand } from './nodes.ts';
import { revokeCommand } from './revoke.ts';

/** `gap-junction admin nodes|node|node cordon|node uncordon|node drain|revoke|client issue|client list|credit|audit` */
export function adminCommand(): Command {
  const client = new Command('client')
    .description('clients and their certificates')
    .addCommand(clientIssueCommand())
    .addCommand(clientListCommand());
  return new Command('admin')
    .addCommand(nodesCommand())
    .addCommand(nodeCommand())
    .addCommand(revokeCommand())
    .addCommand(client)
    .addCommand(creditCommand())
    .addCommand(auditCommand());
}
