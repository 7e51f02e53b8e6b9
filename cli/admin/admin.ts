import { Command } from 'commander';

import { auditCommand } from './audit.ts';
import { clientIssueCommand } from './client-issue.ts';
import { clientListCommand } from './client-list.ts';
import { clientQuotaCommand } from './client-quota.ts';
import { creditCommand } from './credit.ts';
import { nodeCommand, nodesCommand } from './nodes.ts';
import { revokeCommand } from './revoke.ts';

/** `gap-junction admin nodes|node|node cordon|node uncordon|node drain|revoke|client issue|client list|client quota|credit|audit` */
export function adminCommand(): Command {
  const client = new Command('client')
    .description('clients, their certificates and quotas')
    .addCommand(clientIssueCommand())
    .addCommand(clientListCommand())
    .addCommand(clientQuotaCommand());
  return new Command('admin')
    .addCommand(nodesCommand())
    .addCommand(nodeCommand())
    .addCommand(revokeCommand())
    .addCommand(client)
    .addCommand(creditCommand())
    .addCommand(auditCommand());
}
