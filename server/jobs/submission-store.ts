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
 * Submissions of one client, in one transaction where all of them can be made, and otherwise each in its own:
 * each becomes the new job, or the one that was submitted under its request id before, or fails with the
 * RpcError that JobService.SubmitJob documents. Answers in their order; throws UNAVAILABLE for all where the
 * database is away.
 */
export async function submitJobs(
  store: Store,
  blobs: SubmissionBlobs,
  submissions: readonly Submission[],
): Promise<readonly PromiseSettledResult<Submitted>[]> {
  if (submissions.length > 1) {
    try {
      const prepared = submissions.map(preparedOf);
      const records = await store.transaction((em) => insertPriced(em, blobs, prepared));
      return records.map((record) => fulfilled({ record, isNew: true }));
    } catch (cause) {
      if (!isOfOne(cause)) throw cause;
    }
  }
  const outcomes: PromiseSettledResult<Submitted>[] = [];
  for (const submission of submissions) {
    outcomes.push(
      await submitJob(store, blobs, submission).then(fulfilled, (reason: unknown) => ({
        status: 'rejected' as const,
        reason,
      })),
    );
  }
  return outcomes;
}

const fulfilled = (value: Submitted) => ({ status: 'fulfilled', value }) as const;

/** Unless the database is away, it may be one submission's doing: the others may be made without it. */
function isOfOne(cause: unknown): boolean {
  return !(cause instanceof RpcError && cause.code === 'UNAVAILABLE');
}

async function submitJob(
  store: Store,
  blobs: SubmissionBlobs,
  submission: Submission,
): Promise<Submitted> {
  const prepared = preparedOf(submission);
  try {
    const [record] = await store.transaction((em) => insertPriced(em, blobs, [prepared]));
    return { record: record!, isNew: true };
  } catch (cause) {
    if (!(cause instanceof RequestTaken || cause instanceof RpcError)) throw cause;
    // Who asks again gets the job, whatever would be refused by now.
    const record = await store.read((em) => readJobOfRequest(em, submission));
    if (record === null) throw cause;
    return { record: requireSame(record, prepared.body), isNew: false };
  }
}

interface Prepared {
  readonly submission: Submission;
  readonly input: SpecInput;
  /** SHA-256, 32 bytes. */
  readonly body: Uint8Array;
}

function preparedOf(submission: Submission): Prepared {
  const input = inputOf(submission.spec);
  return { submission, input, body: bodyDigest(submission.spec, input.digest) };
}

/** The client has used the request id. */
class RequestTaken extends Error {
  override readonly name = 'RequestTaken';
}

/**
 * Submissions of one client, all or none. Each kind of row is locked for all of them before the next kind, and
 * in an order that is the same in every transaction: no two wait for each other in a circle. Throws
 * RequestTaken, or RpcError.
 */
async function insertPriced(
  em: EntityManager,
  blobs: SubmissionBlobs,
  prepared: readonly Prepared[],
): Promise<readonly JobRecord[]> {
  const steps = await together(prepared.map((one) => stepsOf(em, blobs, one)));
  const byRequest = inOrderOf(steps, ({ requestId }) => requestId);
  const byModule = inOrderOf(steps, ({ module }) => digestText(module));
  const byInput = inOrderOf(steps, ({ input }) => digestText(input));

  const inserting = new Map(byRequest.map((one) => [one, one.insert()]));
  const using = [...byInput.map(({ claim }) => claim()), ...byModule.map(({ use }) => use())];
  if (steps.some(({ hasToPut }) => hasToPut)) {
    await together([...inserting.values(), ...using]);
    for (const { put } of byInput) await put();
  }
  const admitting = steps.map(({ admit }) => admit());
  // Last, because it locks the client's balance until the end.
  const holding = steps.map(({ hold }) => hold());
  await together([...inserting.values(), ...using, ...admitting, ...holding]);
  return Promise.all(steps.map((one) => inserting.get(one)!));
}

function inOrderOf<Item>(items: readonly Item[], keyOf: (item: Item) => string): readonly Item[] {
  return items.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** What is done for one submission, each step when it is called. Throws RpcError as priceJob. */
async function stepsOf(
  em: EntityManager,
  blobs: SubmissionBlobs,
  { submission, input, body }: Prepared,
) {
  const { clientId, requestId, spec, jobId, submitRequestId, seed, tariff } = submission;
  const priced = await priceJob(em, blobs, { clientId, spec, tariff });
  const { module, limits, inputBytes, holdMicrocents } = priced;
  const holder = { kind: 'job', id: jobId, clientId } as const;
  const isUpload = input.kind === 'blob' && !sameBytes(input.digest, module.digest);
  return {
    requestId,
    module: module.digest,
    input: input.digest,
    insert: () =>
      insertNewJob(em, {
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
      }),
    // Named: from now on the upload is kept for the job. A module stays its client's.
    claim: async () => {
      if (isUpload) await blobs.claimUpload(em, { clientId, jobId, digest: input.digest });
    },
    use: () => {
      const digests = input.kind === 'blob' ? [module.digest, input.digest] : [module.digest];
      return blobs.useBlobs(em, { holder, digests });
    },
    hasToPut: input.kind === 'inline' && input.bytes.length > 0,
    put: async () => {
      if (input.kind === 'inline') await blobs.put(em, { holder, bytes: input.bytes });
    },
    admit: () => requireQuota(em, { clientId, fuelLimit: limits.fuel, defaults: submission.quota }),
    hold: () => holdForJob(em, { clientId, jobId, microcents: holdMicrocents }),
  };
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
