// A job is submitted in one transaction: found or inserted, its highest price held, its blobs in use.
import type { JobSpec } from '#gen/gapjunction/job/v1/job_pb';
import { digestText, sameBytes } from '../../protocol/bill/digest.ts';
import type { PriceRates } from '../../protocol/bill/price.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { Quota } from '../clients/quota.ts';
import { MAX_MOVED_MICROCENTS } from '../ledger/ledger.ts';
import { holdForJob } from '../ledger/ledger-store.ts';
import { RpcError } from '../rpc/error.ts';
import { together } from '../store/query.ts';
import type { EntityManager, Store } from '../store/store.ts';
import { requireQuota } from './admission-store.ts';
import type { JobLimits, JobRecord } from './job-record.ts';
import { insertJob, readJobOfRequest } from './job-store.ts';
import {
  bodyDigest,
  entryOf,
  grantsOf,
  inputOf,
  limitsOf,
  placementTermsOf,
  quote,
  type LimitBounds,
  type Quote,
  type SpecInput,
} from './job-terms.ts';
import type { Module } from './module.ts';
import { findModule } from './module-store.ts';

/** What holds for all jobs that are submitted now. */
export interface JobTariff {
  readonly price: PriceRates;
  readonly bounds: LimitBounds;
  readonly profile: string;
  /** SHA-256 of the profile's document. */
  readonly profileDigest: Uint8Array;
}

export type SubmissionBlobs = Pick<Blobs, 'put' | 'requireOwned' | 'claimUpload' | 'useBlobs'>;

export interface Priced extends Quote {
  readonly module: Module;
  readonly limits: JobLimits;
  readonly inputBytes: bigint;
}

/** What the job would cost. Throws RpcError MODULE_UNKNOWN, INPUT_UNKNOWN, LIMIT_EXCEEDED. */
export async function priceJob(
  em: EntityManager,
  blobs: Pick<Blobs, 'requireOwned'>,
  { clientId, spec, tariff }: { clientId: string; spec: JobSpec; tariff: JobTariff },
): Promise<Priced> {
  const module = await findModule(em, { clientId, digest: spec.moduleDigest });
  if (module === null) throw moduleUnknown(spec.moduleDigest);
  const limits = limitsOf(spec, module, tariff.bounds);
  const inputBytes = await inputBytesOf(em, blobs, clientId, inputOf(spec));
  const { price } = tariff;
  const moduleBytes = module.sizeBytes;
  const maxHoldMicrocents = MAX_MOVED_MICROCENTS;
  const priced = quote({ price, moduleBytes, inputBytes, limits, maxHoldMicrocents });
  return { ...priced, module, limits, inputBytes };
}

async function inputBytesOf(
  em: EntityManager,
  blobs: Pick<Blobs, 'requireOwned'>,
  clientId: string,
  input: SpecInput,
): Promise<bigint> {
  if (input.kind === 'inline') return BigInt(input.bytes.length);
  try {
    const { sizeBytes } = await blobs.requireOwned(em, { clientId, digest: input.digest });
    return BigInt(sizeBytes);
  } catch (cause) {
    if (cause instanceof RpcError && cause.reason === 'BLOB_UNKNOWN') {
      throw inputUnknown(input.digest, cause);
    }
    throw cause;
  }
}

export interface Submission {
  readonly clientId: string;
  readonly requestId: string;
  readonly spec: JobSpec;
  readonly jobId: string;
  /** The call's `x-request-id`. */
  readonly submitRequestId: string;
  /** 32 random bytes. */
  readonly seed: Uint8Array;
  readonly tariff: JobTariff;
  /** Of clients that have none of their own. */
  readonly quota: Quota;
}

export interface Submitted {
  readonly record: JobRecord;
  readonly isNew: boolean;
}

/**
 * The new job, or the one that was submitted under this request id before. Throws RpcError as
 * JobService.SubmitJob documents.
 */
export async function submitJob(
  store: Store,
  blobs: SubmissionBlobs,
  submission: Submission,
): Promise<Submitted> {
  const input = inputOf(submission.spec);
  const body = bodyDigest(submission.spec, input.digest);
  const terms = { submission, input, body };
  try {
    return {
      record: await store.transaction((em) => insertPriced(em, blobs, terms)),
      isNew: true,
    };
  } catch (cause) {
    if (!(cause instanceof RequestTaken || cause instanceof RpcError)) throw cause;
    // Who asks again gets the job, whatever would be refused by now.
    const record = await store.read((em) => readJobOfRequest(em, submission));
    if (record === null) throw cause;
    return { record: requireSame(record, body), isNew: false };
  }
}

/** The client has used the request id. */
class RequestTaken extends Error {
  override readonly name = 'RequestTaken';
}

/** Throws RequestTaken, or RpcError. */
async function insertPriced(
  em: EntityManager,
  blobs: SubmissionBlobs,
  {
    submission,
    input,
    body,
  }: { readonly submission: Submission; readonly input: SpecInput; readonly body: Uint8Array },
): Promise<JobRecord> {
  const { clientId, requestId, spec, jobId, submitRequestId, seed, tariff } = submission;
  const priced = await priceJob(em, blobs, { clientId, spec, tariff });
  const { module, limits, inputBytes, holdMicrocents } = priced;
  const inserting = insertNewJob(em, {
    jobId,
    clientId,
    terms: {
      requestId,
      bodyDigest: body,
      moduleDigest: module.digest,
      moduleBytes: module.sizeBytes,
      inputDigest: input.digest,
      inputBytes,
      entry: entryOf(spec, module),
      ...grantsOf(spec),
      limits,
      profile: tariff.profile,
      profileDigest: tariff.profileDigest,
      price: tariff.price,
      seed,
      holdMicrocents,
      ...placementTermsOf(spec),
      submitRequestId,
    },
  });
  const holder = { kind: 'job', id: jobId, clientId } as const;
  const digests = input.kind === 'blob' ? [module.digest, input.digest] : [module.digest];
  // Named: from now on the upload is kept for the job. A module stays its client's.
  const claiming =
    input.kind === 'blob' && !sameBytes(input.digest, module.digest)
      ? blobs.claimUpload(em, { clientId, jobId, digest: input.digest })
      : Promise.resolve();
  const using = blobs.useBlobs(em, { holder, digests });
  if (input.kind === 'inline' && input.bytes.length > 0) {
    await together([inserting, claiming, using]);
    await blobs.put(em, { holder, bytes: input.bytes });
  }
  const admitting = requireQuota(em, {
    clientId,
    fuelLimit: limits.fuel,
    defaults: submission.quota,
  });
  // Last, because it locks the client's balance until the end.
  const holding = holdForJob(em, { clientId, jobId, microcents: holdMicrocents });
  const [record] = await together([inserting, claiming, using, admitting, holding]);
  return record;
}

/** Throws RequestTaken. */
async function insertNewJob(...job: Parameters<typeof insertJob>): Promise<JobRecord> {
  const record = await insertJob(...job);
  if (record === null) throw new RequestTaken();
  return record;
}

/** Throws RpcError REQUEST_ID_REUSED (ALREADY_EXISTS). */
function requireSame(record: JobRecord, body: Uint8Array): JobRecord {
  if (Buffer.compare(record.terms.bodyDigest, body) === 0) return record;
  throw new RpcError(
    'ALREADY_EXISTS',
    'REQUEST_ID_REUSED',
    `submitting the request '${record.terms.requestId}': it was used for another job; choose a new one`,
    { metadata: { job_id: record.job.jobId } },
  );
}

function moduleUnknown(digest: Uint8Array): RpcError {
  return new RpcError(
    'NOT_FOUND',
    'MODULE_UNKNOWN',
    `finding the module '${digestText(digest)}': you have registered none such`,
  );
}

function inputUnknown(digest: Uint8Array, cause: unknown): RpcError {
  return new RpcError(
    'NOT_FOUND',
    'INPUT_UNKNOWN',
    `finding the input '${digestText(digest)}': you have uploaded none such`,
    { cause },
  );
}
