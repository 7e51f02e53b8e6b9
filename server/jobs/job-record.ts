import type { Limits } from '#gen/gapjunction/job/v1/bill_pb';
import type { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import type { PriceRates } from '../../protocol/bill/price.ts';
import type { Job } from './jobs.ts';

export type EntryName = 'START' | 'RUN';

/** What a job was submitted with. Never changes. */
export interface JobTerms {
  readonly requestId: string;
  /** See bodyDigest in job-terms.ts. */
  readonly bodyDigest: Uint8Array;
  readonly moduleDigest: Uint8Array;
  readonly moduleBytes: bigint;
  readonly inputDigest: Uint8Array;
  readonly inputBytes: bigint;
  readonly entry: EntryName;
  readonly stdoutAsResult: boolean;
  readonly debugLogs: boolean;
  readonly limits: JobLimits;
  readonly profile: string;
  readonly profileDigest: Uint8Array;
  readonly price: PriceRates;
  /** 32 random bytes, equal in each attempt. */
  readonly seed: Uint8Array;
  readonly holdMicrocents: bigint;
  /** 0 to 9: among the queued jobs of one client, the higher comes first. */
  readonly priority: number;
  readonly constraints: JobConstraints;
  readonly queueTimeoutMs: number;
  readonly totalTimeoutMs: number | null;
  /** The `x-request-id` of the call that submitted it, for logs. */
  readonly submitRequestId: string;
}

/** Which nodes may run a job. */
export interface JobConstraints {
  /** The node has each of these labels with this value. */
  readonly labels: Readonly<Record<string, string>>;
  /** At least this; UNSPECIFIED: any. */
  readonly isolationLevel: IsolationLevel;
}

/** The fields of the contract's Limits; its messages fit. */
export type JobLimits = Readonly<
  Pick<Limits, 'fuel' | 'deadlineEpochs' | 'memoryBytes' | 'outputBytes' | 'logBytes'>
>;

/** What an accepted receipt said, and what it cost. */
export interface JobResult {
  readonly fuel: bigint;
  readonly chargeMicrocents: bigint;
  readonly outputDigest: Uint8Array;
  readonly outputBytes: bigint;
}

/** What is needed of a job to change its state. */
export interface JobLife {
  readonly job: Job;
  readonly terms: Pick<JobTerms, 'moduleDigest' | 'inputDigest'>;
}

/** All that the database knows of a job, but for orders and bills. */
export interface JobRecord {
  readonly job: Job;
  readonly terms: JobTerms;
  /** Null until a receipt is accepted, and for ends without one. */
  readonly result: JobResult | null;
  /** When its client said that it has what it wants of an ended job. */
  readonly outputAcknowledgedMs: number | null;
}
