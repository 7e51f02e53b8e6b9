import { defineEntity, p } from '@mikro-orm/core';

export const AttemptSchema = defineEntity({
  name: 'Attempt',
  tableName: 'attempt',
  indexes: [
    { properties: ['state', 'nodeId'] },
    // The open leases, by when the first of their times passes.
    {
      name: 'attempt_due_index',
      expression: `create index attempt_due_index on attempt ((case when state = 'leased' then least(acknowledge_by_ms, lease_end_ms) else lease_end_ms end)) where state in ('leased', 'acknowledged')`,
    },
  ],
  uniques: [{ properties: ['jobId', 'fence'] }, { properties: ['taskId'] }],
  properties: {
    attemptId: p.text().primary(),
    jobId: p.text(),
    /** 1 for the first attempt of the job, rising by one: only the highest may write. */
    fence: p.integer(),
    nodeId: p.text(),
    state: p.enum(['leased', 'acknowledged', 'completed', 'failed'] as const),
    leasedMs: p.bigint('number'),
    acknowledgeByMs: p.bigint('number'),
    /** The lease ends then, whatever the node says. */
    leaseEndMs: p.bigint('number'),
    endedMs: p.bigint('number').nullable(),
    failure: p.text().nullable(),
    /** Digest of the order: names it to the node. */
    taskId: p.blob(),
    /** The work order's exact bytes. */
    orderPayload: p.blob(),
    orderKeyId: p.blob(),
    orderChainDigest: p.blob(),
    /** Null until somebody stored it; anyone with the key may sign the same bytes again. */
    orderSignature: p.blob().nullable(),
    /** The key that the receipt is to be signed under, and its certificates. */
    nodeKeyId: p.blob(),
    nodeChainDigest: p.blob(),
    /** What its guest has burnt, as its node last said; a few seconds late. */
    progressFuel: p.bigint('bigint').nullable(),
    /** Of the receipt that ended this attempt, paid or not. */
    receiptDigest: p.blob().nullable(),
  },
});

export class AttemptRow extends AttemptSchema.class {}
AttemptSchema.setClass(AttemptRow);
