import { defineEntity, p } from '@mikro-orm/core';

export const JobSchema = defineEntity({
  name: 'Job',
  tableName: 'job',
  indexes: [
    // The queue, oldest first.
    { properties: ['state', 'submittedMs', 'jobId'] },
    // A client's jobs, newest first.
    { properties: ['clientId', 'submittedMs', 'jobId'] },
  ],
  uniques: [{ properties: ['clientId', 'requestId'] }],
  properties: {
    jobId: p.text().primary(),
    clientId: p.text(),
    requestId: p.text(),
    /** Of what was asked for, so that a retry is told from another job under the same request id. */
    bodyDigest: p.blob(),
    /** `settling`: the receipt is accepted and paid, its settlement not signed yet. */
    state: p.enum(['queued', 'running', 'settling', 'ended'] as const),
    revision: p.bigint('bigint'),
    cancelRequested: p.boolean(),
    moduleDigest: p.blob(),
    moduleBytes: p.bigint('bigint'),
    inputDigest: p.blob(),
    inputBytes: p.bigint('bigint'),
    entry: p.enum(['START', 'RUN'] as const),
    stdoutAsResult: p.boolean(),
    debugLogs: p.boolean(),
    fuelLimit: p.bigint('bigint'),
    deadlineEpochs: p.integer(),
    memoryLimitBytes: p.bigint('bigint'),
    outputLimitBytes: p.bigint('bigint'),
    logLimitBytes: p.bigint('bigint'),
    profile: p.text(),
    profileDigest: p.blob(),
    priceBaseMicrocents: p.bigint('bigint'),
    pricePerMibModuleMicrocents: p.bigint('bigint'),
    pricePerMibIoMicrocents: p.bigint('bigint'),
    pricePerMillionFuelMicrocents: p.bigint('bigint'),
    priceShareBasisPoints: p.integer(),
    /** Drawn once: each attempt sees the same random bytes. */
    seed: p.blob(),
    holdMicrocents: p.bigint('bigint'),
    submittedMs: p.bigint('number'),
    /** The name of the contract's JobEnd. Known from `settling` on. */
    end: p.text().nullable(),
    endDetail: p.text().nullable(),
    endedMs: p.bigint('number').nullable(),
    fuel: p.bigint('bigint').nullable(),
    chargeMicrocents: p.bigint('bigint').nullable(),
    outputDigest: p.blob().nullable(),
    outputBytes: p.bigint('bigint').nullable(),
  },
});

export class JobRow extends JobSchema.class {}
JobSchema.setClass(JobRow);
