import { defineEntity, p } from '@mikro-orm/core';

/** Receipt and settlement of a job. Its work order stands at the attempt. */
export const BillSchema = defineEntity({
  name: 'Bill',
  tableName: 'bill',
  properties: {
    jobId: p.text().primary(),
    attemptId: p.text(),
    receiptPayload: p.blob(),
    receiptSignature: p.blob(),
    receiptKeyId: p.blob(),
    receiptChainDigest: p.blob(),
    settlementPayload: p.blob(),
    settlementKeyId: p.blob(),
    settlementChainDigest: p.blob(),
    /** Null until it is signed. */
    settlementSignature: p.blob().nullable(),
  },
});

export class BillRow extends BillSchema.class {}
BillSchema.setClass(BillRow);
