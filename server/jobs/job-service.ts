import { JobService } from '#gen/gapjunction/job/v1/job_pb';
import { digestText } from '../../protocol/bill/digest.ts';
import { makeId } from '../../protocol/identity/ids.ts';
import { findBill } from '../bills/bills.ts';
import type { Blobs } from '../blobs/blobs.ts';
import { DEFAULT_QUOTA, type Quota } from '../clients/quota.ts';
import type { Clock } from '../clock.ts';
import type { Logs } from '../logs/logs.ts';
import { notFound, RpcError } from '../rpc/error.ts';
import { pageLimit, pageOf, readPageToken } from '../rpc/page.ts';
import { callerOf, implement, type ServiceImplementation } from '../rpc/service.ts';
import type { Store } from '../store/store.ts';
import { jobTopic, nodeTopic, QUEUE_TOPIC, type Announcements } from './announcements.ts';
import { cancelJob } from './cancel-store.ts';
import { CheckTurns } from './check-turns.ts';
import { NOBODY, type JobObserver } from './job-observer.ts';
import { jobMessage, moduleMessage, statesOf } from './job-message.ts';
import type { JobRecord } from './job-record.ts';
import { listJobs, readJob } from './job-store.ts';
import { priceMessage } from './job-terms.ts';
import { watchJob } from './job-watch.ts';
import { currentAttempt } from './jobs.ts';
import { MAX_MODULE_BYTES, type Module } from './module.ts';
import type { ModuleCheck } from './module-check.ts';
import type { Retention } from './retention.ts';
import { findModule, insertModule, listModules } from './module-store.ts';
import { priceJob, submitJobs, type JobTariff, type Submission } from './submission-store.ts';
import { Submissions } from './submissions.ts';

const SEED_BYTES = 32;

export interface JobServiceDeps {
  readonly store: Store;
  readonly blobs: Pick<
    Blobs,
    'put' | 'requireOwned' | 'claimUpload' | 'keepModule' | 'useBlobs' | 'endJob' | 'readAll'
  >;
  readonly retention: Pick<Retention, 'acknowledge' | 'outputRetentionMs'>;
  readonly logs: Pick<Logs, 'tail'>;
  readonly moduleCheck: Pick<ModuleCheck, 'check'>;
  readonly announcements: Announcements;
  readonly clock: Clock;
  /** Cryptographically random bytes. */
  readonly random: (bytes: number) => Uint8Array;
  readonly observer?: JobObserver;
  readonly tariff: JobTariff;
  /** Of clients that have none of their own. */
  readonly quota?: Quota;
}

export function jobService(deps: JobServiceDeps): ServiceImplementation {
  const { store, blobs, logs, retention, moduleCheck, announcements, clock, random, tariff } = deps;

  const observer = deps.observer ?? NOBODY;
  const message = (record: JobRecord) => jobMessage(record, retention);

  async function ownJob(clientId: string, jobId: string): Promise<JobRecord> {
    const record = await store.read((em) => readJob(em, { clientId, jobId }));
    if (record === null) throw notFound('the job', jobId);
    return record;
  }

  const checks = new CheckTurns<Module>();
  const submissions = new Submissions((batch: readonly Submission[]) =>
    submitJobs(store, blobs, batch),
  );

  return implement(JobService, {
    async registerModule({ digest }, context) {
      const { clientId } = callerOf(context, 'client');
      const known = await store.read((em) => findModule(em, { clientId, digest }));
      if (known !== null) return { module: moduleMessage(known) };
      await store.read((em) => blobs.requireOwned(em, { clientId, digest }));
      const module = await checks.take({
        clientId,
        key: digestText(digest),
        async check() {
          // Read when its turn comes: what waits takes no memory.
          const bytes = await readModuleBytes(blobs, digest);
          return { digest, sizeBytes: BigInt(bytes.length), ...(await moduleCheck.check(bytes)) };
        },
      });
      const registered = await store.transaction(async (em) => {
        await blobs.keepModule(em, { clientId, digest });
        return insertModule(em, { clientId, module });
      });
      return { module: moduleMessage(registered) };
    },

    async listModules(request, context) {
      const { clientId } = callerOf(context, 'client');
      const limit = pageLimit(request.pageSize);
      const [registeredMs, digest] =
        readPageToken(request.pageToken, /^\d{1,15},[0-9a-f]{64}$/) ?? [];
      const behind =
        registeredMs === undefined || digest === undefined
          ? null
          : { registeredMs: Number(registeredMs), digest: Buffer.from(digest, 'hex') };
      const found = await store.read((em) =>
        listModules(em, { clientId, behind, limit: limit + 1 }),
      );
      const { items, nextPageToken } = pageOf(found, limit, (last) => [
        last.registeredMs,
        Buffer.from(last.digest).toString('hex'),
      ]);
      return { modules: items.map(moduleMessage), nextPageToken };
    },

    async quoteJob({ spec }, context) {
      const { clientId } = callerOf(context, 'client');
      const { holdMicrocents, leastMicrocents, limits } = await store.read((em) =>
        priceJob(em, blobs, { clientId, spec: requireSpec(spec), tariff }),
      );
      return { holdMicrocents, leastMicrocents, limits, price: priceMessage(tariff.price) };
    },

    async submitJob({ requestId, spec }, context) {
      const { clientId } = callerOf(context, 'client');
      const submission = {
        clientId,
        requestId,
        spec: requireSpec(spec),
        submitRequestId: context.requestId,
        jobId: makeId('j', random),
        seed: random(SEED_BYTES),
        tariff,
        quota: deps.quota ?? DEFAULT_QUOTA,
      };
      const { record, isNew } = await submissions.submit(submission, context.signal);
      if (isNew) {
        announcements.publish(QUEUE_TOPIC);
        const { jobId } = record.job;
        observer.step({ kind: 'submitted', requestId: context.requestId, jobId, clientId });
      }
      return { job: message(record) };
    },

    async getJob({ jobId }, context) {
      const { clientId } = callerOf(context, 'client');
      return { job: message(await ownJob(clientId, jobId)) };
    },

    async *watchJob({ jobId, afterRevision }, context) {
      const { clientId } = callerOf(context, 'client');
      const { signal } = context;
      const read = () => ownJob(clientId, jobId);
      for await (const record of watchJob({
        jobId,
        afterRevision,
        read,
        announcements,
        clock,
        signal,
      })) {
        const hasBill = record.job.state.kind === 'ended' && record.result !== null;
        const bill = hasBill ? await findBill(store, jobId) : null;
        yield { job: message(record), ...(bill !== null && { bill }) };
      }
    },

    async listJobs(request, context) {
      const { clientId } = callerOf(context, 'client');
      const limit = pageLimit(request.pageSize);
      const [submittedMs, jobId] =
        readPageToken(request.pageToken, /^\d{1,15},j-[a-z2-7]{20}$/) ?? [];
      const before =
        submittedMs === undefined || jobId === undefined
          ? null
          : { submittedMs: Number(submittedMs), jobId };
      const states = statesOf(request.state);
      const found = await store.read((em) =>
        listJobs(em, { clientId, states, before, limit: limit + 1 }),
      );
      const { items, nextPageToken } = pageOf(found, limit, ({ job }) => [
        job.submittedMs,
        job.jobId,
      ]);
      return { jobs: items.map(message), nextPageToken };
    },

    async cancelJob({ jobId }, context) {
      const { clientId } = callerOf(context, 'client');
      const { record, isNew } = await store.transaction((em) =>
        cancelJob(em, blobs, { clientId, jobId }),
      );
      if (isNew) announcements.publish(jobTopic(jobId));
      if (isNew && record.job.state.kind === 'ended') {
        const { end } = record.job.state;
        observer.jobEnded(end);
        observer.step({ kind: 'ended', jobId, end });
      }
      // Also a repeated cancel is told to the node once more.
      const attempt = currentAttempt(record.job);
      if (attempt !== null) announcements.publish(nodeTopic(attempt.nodeId));
      return { job: message(record) };
    },

    async *tailLogs({ jobId, attemptId, offsetBytes, noFollow }, context) {
      const { clientId } = callerOf(context, 'client');
      const { signal } = context;
      const pieces = logs.tail({
        clientId,
        jobId,
        attemptId,
        offsetBytes,
        follow: !noFollow,
        signal,
      });
      for await (const piece of pieces) {
        yield {
          attemptId: piece.attemptId,
          offsetBytes: BigInt(piece.offsetBytes),
          chunk: piece.bytes,
        };
      }
    },

    async acknowledgeOutput({ jobId }, context) {
      const { clientId } = callerOf(context, 'client');
      const { record, isNew } = await retention.acknowledge({ clientId, jobId });
      if (isNew) announcements.publish(jobTopic(jobId));
      return { job: message(record) };
    },

    async getBill({ jobId }, context) {
      const { clientId } = callerOf(context, 'client');
      const { job, result } = await ownJob(clientId, jobId);
      if (job.state.kind !== 'ended') {
        throw new RpcError(
          'FAILED_PRECONDITION',
          'NOT_ENDED',
          `reading the bill of '${jobId}': the job has not ended; watch it until it has`,
        );
      }
      const bill = result === null ? null : await findBill(store, jobId);
      if (bill === null) {
        throw new RpcError(
          'FAILED_PRECONDITION',
          'NO_RECEIPT',
          `reading the bill of '${jobId}': it ended ${job.state.end}, which costs nothing and has no bill`,
        );
      }
      return { bill };
    },
  });
}

/** Also bytes that are too long are read by the check, to be refused with its reason. */
async function readModuleBytes(blobs: Pick<Blobs, 'readAll'>, digest: Uint8Array) {
  try {
    return await blobs.readAll(digest, MAX_MODULE_BYTES);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const why = `a module has at most ${MAX_MODULE_BYTES} bytes`;
    throw new RpcError('INVALID_ARGUMENT', 'MODULE_REFUSED', `checking the module: ${why}`, {
      metadata: { offset: String(MAX_MODULE_BYTES), cause: why },
      cause,
    });
  }
}

function requireSpec<Spec>(spec: Spec | undefined): Spec {
  if (spec === undefined) {
    throw new Error('reading a job: the request has no spec, though it was checked');
  }
  return spec;
}
