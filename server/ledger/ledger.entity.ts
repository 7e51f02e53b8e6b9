// The books and the balances that follow from them. Their rules stand in the migration.
import { defineEntity, p } from '@mikro-orm/core';

export const LedgerTransactionSchema = defineEntity({
  name: 'LedgerTransaction',
  tableName: 'ledger_transactions',
  properties: {
    /** The business key: `hold:j-...`; nothing is posted twice under it. */
    transactionKey: p.text().primary(),
    kind: p.text(),
    /** The hold that a settlement or release closes: closed once, by one of the two. */
    closesKey: p.text().nullable().unique(),
    postedMs: p.bigint('bigint'),
  },
});
export class LedgerTransaction extends LedgerTransactionSchema.class {}
LedgerTransactionSchema.setClass(LedgerTransaction);

export const LedgerPostingSchema = defineEntity({
  name: 'LedgerPosting',
  tableName: 'ledger_postings',
  indexes: [{ name: 'ledger_postings_holder', properties: ['holderId', 'account'] }],
  properties: {
    transactionKey: p.text().primary(),
    account: p.text().primary(),
    holderId: p.text().primary(),
    microcents: p.bigint('bigint'),
  },
});
export class LedgerPosting extends LedgerPostingSchema.class {}
LedgerPostingSchema.setClass(LedgerPosting);

export const ClientBalanceSchema = defineEntity({
  name: 'ClientBalance',
  tableName: 'client_balances',
  properties: {
    clientId: p.text().primary(),
    availableMicrocents: p.bigint('bigint'),
    heldMicrocents: p.bigint('bigint'),
  },
});
export class ClientBalance extends ClientBalanceSchema.class {}
ClientBalanceSchema.setClass(ClientBalance);

export const NodeBalanceSchema = defineEntity({
  name: 'NodeBalance',
  tableName: 'node_balances',
  properties: {
    nodeId: p.text().primary(),
    pendingMicrocents: p.bigint('bigint'),
    settledJobs: p.bigint('bigint'),
  },
});
export class NodeBalance extends NodeBalanceSchema.class {}
NodeBalanceSchema.setClass(NodeBalance);

export const ledgerEntities = [LedgerTransaction, LedgerPosting, ClientBalance, NodeBalance];
