import { Entry, Grant } from '#gen/gapjunction/job/v1/bill_pb';
import { isolationKey } from '../../protocol/bill/isolation-key.ts';
import { taskIdOf } from '../../protocol/bill/task-id.ts';
import { encodeWorkOrder, NOT_BEFORE_MARGIN_MS } from '../../protocol/bill/work-order.ts';
import type { JobTerms } from '../jobs/job-record.ts';
import type { Job } from '../jobs/jobs.ts';

const EPOCH_MS = 10;

/**
 * What a node may need besides running: fetching module and input, and uploading the output, 144 MiB at
 * most, over a line of 4 Mbit/s.
 */
export const DEFAULT_TRANSFER_GRACE_MS = 300_000;

/** When the lease ends whatever the node says: transfers, and the deadline from the guest's entry. */
export function leaseEndMs(
  terms: JobTerms,
  { leasedMs, transferGraceMs }: { readonly leasedMs: number; readonly transferGraceMs: number },
): number {
  return leasedMs + transferGraceMs + terms.limits.deadlineEpochs * EPOCH_MS;
}

export interface OrderOptions {
  readonly terms: JobTerms;
  /** Its last attempt is the one that is ordered. */
  readonly job: Job;
  readonly nodeKeyId: Uint8Array;
  readonly isolationSecret: Uint8Array;
}

/** The exact bytes of the order for the job's last attempt, and the task id that follows from them. */
export function makeOrder({ terms, job, nodeKeyId, isolationSecret }: OrderOptions): {
  readonly payload: Uint8Array;
  readonly taskId: Uint8Array;
} {
  const attempt = job.attempts.at(-1);
  if (attempt === undefined) throw new Error(`ordering the job '${job.jobId}': it has no attempt`);
  const { nodeId } = attempt;
  const grants = [
    ...(terms.stdoutAsResult ? [Grant.STDOUT_AS_RESULT] : []),
    ...(terms.debugLogs ? [Grant.DEBUG_LOGS] : []),
  ];
  const payload = encodeWorkOrder({
    jobId: job.jobId,
    attemptId: attempt.attemptId,
    nodeId,
    nodeKeyId,
    isolationKey: isolationKey(isolationSecret, { clientId: job.clientId, nodeId }),
    module: { digest: terms.moduleDigest, sizeBytes: terms.moduleBytes },
    input: { digest: terms.inputDigest, sizeBytes: terms.inputBytes },
    entry: Entry[terms.entry],
    grants,
    limits: terms.limits,
    profile: terms.profile,
    profileDigest: terms.profileDigest,
    price: terms.price,
    seed: terms.seed,
    notBeforeMs: BigInt(attempt.leasedMs) - NOT_BEFORE_MARGIN_MS,
    expiresMs: BigInt(attempt.leaseEndMs),
  });
  return { payload, taskId: taskIdOf(payload) };
}
