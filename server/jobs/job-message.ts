// Jobs and modules as the contract has them.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Entry, Grant, JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import {
  AttemptState as AttemptStateMessage,
  JobState as JobStateMessage,
  type AttemptSchema,
  type JobSchema,
  type ModuleSchema,
} from '#gen/gapjunction/job/v1/job_pb';
import type { JobRecord } from './job-record.ts';
import { outputExpiresMs } from './retention.ts';
import { priceMessage } from './job-terms.ts';
import type { Attempt, AttemptState, JobState } from './jobs.ts';
import type { RegisteredModule } from './module.ts';

const JOB_STATES: Readonly<Record<JobState['kind'], JobStateMessage>> = {
  queued: JobStateMessage.QUEUED,
  running: JobStateMessage.RUNNING,
  // Nobody sees an end before it is signed.
  settling: JobStateMessage.RUNNING,
  ended: JobStateMessage.ENDED,
};

const ATTEMPT_STATES: Readonly<Record<AttemptState['kind'], AttemptStateMessage>> = {
  leased: AttemptStateMessage.LEASED,
  acknowledged: AttemptStateMessage.ACKNOWLEDGED,
  completed: AttemptStateMessage.COMPLETED,
  failed: AttemptStateMessage.FAILED,
};

/** The states of ours that the contract's is the name of; all for UNSPECIFIED. */
export function statesOf(state: JobStateMessage): readonly JobState['kind'][] {
  const kinds = Object.keys(JOB_STATES) as JobState['kind'][];
  return kinds.filter(
    (kind) => state === JobStateMessage.UNSPECIFIED || JOB_STATES[kind] === state,
  );
}

export function jobMessage(
  record: JobRecord,
  { outputRetentionMs }: { readonly outputRetentionMs: number },
): MessageInitShape<typeof JobSchema> {
  const { job, terms, result, outputAcknowledgedMs } = record;
  const { state } = job;
  const expiresMs = outputExpiresMs(record, outputRetentionMs);
  return {
    jobId: job.jobId,
    requestId: terms.requestId,
    revision: job.revision,
    state: JOB_STATES[state.kind],
    module: { digest: terms.moduleDigest, sizeBytes: terms.moduleBytes },
    input: { digest: terms.inputDigest, sizeBytes: terms.inputBytes },
    entry: Entry[terms.entry],
    grants: [
      ...(terms.stdoutAsResult ? [Grant.STDOUT_AS_RESULT] : []),
      ...(terms.debugLogs ? [Grant.DEBUG_LOGS] : []),
    ],
    limits: terms.limits,
    price: priceMessage(terms.price),
    holdMicrocents: terms.holdMicrocents,
    cancelRequested: job.cancelReason !== null,
    cancelReason: job.cancelReason ?? '',
    priority: terms.priority,
    constraints: terms.constraints,
    queueTimeoutMs: BigInt(terms.queueTimeoutMs),
    totalTimeoutMs: BigInt(terms.totalTimeoutMs ?? 0),
    submittedAt: timestampFromMs(job.submittedMs),
    attempts: job.attempts.map(attemptMessage),
    ...(state.kind === 'ended' && {
      end: JobEnd[state.end],
      endDetail: state.endDetail,
      endedAt: timestampFromMs(state.endedMs),
      ...(expiresMs !== null && { outputExpiresAt: timestampFromMs(expiresMs) }),
      ...(outputAcknowledgedMs !== null && {
        outputAcknowledgedAt: timestampFromMs(outputAcknowledgedMs),
      }),
      ...(result !== null && {
        fuel: result.fuel,
        chargeMicrocents: result.chargeMicrocents,
        output: { digest: result.outputDigest, sizeBytes: result.outputBytes },
      }),
    }),
  };
}

function attemptMessage(attempt: Attempt): MessageInitShape<typeof AttemptSchema> {
  const { state } = attempt;
  return {
    attemptId: attempt.attemptId,
    nodeId: attempt.nodeId,
    state: ATTEMPT_STATES[state.kind],
    leasedAt: timestampFromMs(attempt.leasedMs),
    progressFuel: attempt.progressFuel,
    ...('endedMs' in state && { endedAt: timestampFromMs(state.endedMs) }),
    ...('failure' in state && { failure: state.failure }),
  };
}

export function moduleMessage(module: RegisteredModule): MessageInitShape<typeof ModuleSchema> {
  return {
    blob: { digest: module.digest, sizeBytes: module.sizeBytes },
    entries: [
      ...(module.exportsStart ? [Entry.START] : []),
      ...(module.exportsRun ? [Entry.RUN] : []),
    ],
    minMemoryPages: module.minMemoryPages,
    registeredAt: timestampFromMs(module.registeredMs),
  };
}
