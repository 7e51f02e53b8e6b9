import { defineEntity, p } from '@mikro-orm/core';

export const JobSchema = defineEntity({
  name: 'Job',
  tableName: 'job',
  indexes: [
    // The queue of each client: the higher priority first, then the older.
    {
      name: 'job_queue_index',
      expression: `create index job_queue_index on job (client_id, (9 - priority), submitted_ms, job_id) where state = 'queued'`,
    },
    // The queued jobs that waited for too long.
    { properties: ['state', 'queueEndMs'] },
    // Those that run and are to be stopped.
    {
      name: 'job_to_cancel_index',
      properties: ['jobId'],
      where: `state = 'running' and cancel_reason is not null`,
    },
    // What ended jobs left, oldest first, as long as it is kept.
    {
      name: 'job_kept_index',
      properties: ['endedMs'],
      where: `state = 'ended' and erased_ms is null`,
    },
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
    /** Why a stop was asked for. */
    cancelReason: p.enum(['CLIENT', 'TOTAL_TIMEOUT'] as const).nullable(),
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
    /** The `x-request-id` of the call that submitted it. */
    submitRequestId: p.text(),
    /** 0 to 9: among the queued jobs of one client, the higher comes first. */
    priority: p.integer(),
    /** A node that runs it has each of these labels with this value. */
    requiredLabels: p.json<Record<string, string>>(),
    /** The number of the contract's IsolationLevel, each more than the one before; 0 where any will do. */
    leastIsolationLevel: p.integer(),
    queueTimeoutMs: p.bigint('number'),
    /** From its submission; null for none. */
    totalTimeoutMs: p.bigint('number').nullable(),
    /** When it was queued last: each wait counts anew. */
    queuedMs: p.bigint('number'),
    /** Still queued then, it ends: the earlier end of the two timeouts. */
    queueEndMs: p.bigint('number'),
    /** The name of the contract's JobEnd. Known from `settling` on. */
    end: p.text().nullable(),
    endDetail: p.text().nullable(),
    endedMs: p.bigint('number').nullable(),
    fuel: p.bigint('bigint').nullable(),
    chargeMicrocents: p.bigint('bigint').nullable(),
    outputDigest: p.blob().nullable(),
    outputBytes: p.bigint('bigint').nullable(),
    /** When its client said that it has what it wants. */
    outputAcknowledgedMs: p.bigint('number').nullable(),
    /** When input, output and logs were given up. */
    erasedMs: p.bigint('number').nullable(),
  },
});

export class JobRow extends JobSchema.class {}
JobSchema.setClass(JobRow);
