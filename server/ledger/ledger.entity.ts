// The books and the balances that follow from them. The rules that go beyond a row are triggers: see the
// migration.
import { defineEntity, p } from '@mikro-orm/core';
import { ACCOUNTS, LEDGER_KINDS } from './ledger.ts';

export const LedgerTransactionSchema = defineEntity({
  name: 'LedgerTransaction',
  tableName: 'ledger_transaction',
  checks: [
    {
      name: 'ledger_transaction_closes_check',
      expression: "(kind = any (array['settle', 'release'])) = (closes_key is not null)",
    },
  ],
  properties: {
    /** The business key: `hold:j-...`; nothing is posted twice under it. */
    transactionKey: p.text().primary(),
    kind: p.enum(LEDGER_KINDS),
    /** The hold that a settlement or release closes: closed once, by one of the two. */
    closesKey: p.text().nullable().unique(),
    postedMs: p.bigint('number'),
  },
});
export class LedgerTransaction extends LedgerTransactionSchema.class {}
LedgerTransactionSchema.setClass(LedgerTransaction);

export const LedgerPostingSchema = defineEntity({
  name: 'LedgerPosting',
  tableName: 'ledger_posting',
  indexes: [{ name: 'ledger_posting_holder_index', properties: ['holderId', 'account'] }],
  properties: {
    transactionKey: p.text().primary(),
    account: p.enum(ACCOUNTS).primary(),
    holderId: p.text().primary(),
    microcents: p.bigint('bigint'),
  },
});
export class LedgerPosting extends LedgerPostingSchema.class {}
LedgerPostingSchema.setClass(LedgerPosting);

export const ClientBalanceSchema = defineEntity({
  name: 'ClientBalance',
  tableName: 'client_balance',
  checks: [
    {
      name: 'client_balance_available_check',
      expression: 'available_microcents >= 0 and available_microcents <= 1000000000000000000',
    },
    {
      name: 'client_balance_held_check',
      expression: 'held_microcents >= 0 and held_microcents <= 1000000000000000000',
    },
  ],
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
  tableName: 'node_balance',
  checks: [
    {
      name: 'node_balance_pending_check',
      expression: 'pending_microcents >= 0 and pending_microcents <= 1000000000000000000',
    },
  ],
  properties: {
    nodeId: p.text().primary(),
    pendingMicrocents: p.bigint('bigint'),
    settledJobs: p.bigint('bigint'),
  },
});
export class NodeBalance extends NodeBalanceSchema.class {}
NodeBalanceSchema.setClass(NodeBalance);
