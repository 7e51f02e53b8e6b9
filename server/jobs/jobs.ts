// A job's life, and its attempts': which state follows from which event. Pure; whoever calls has the job's
// row locked and writes back what comes out.
//
//   queued --lease--> running --receipt accepted--> settling --settlement signed--> ended
//     ^                  |
//     +--attempt failed--+--the last one, or cancelled--> ended
//
// The last step needs no decision: the statement that stores the signature ends the job.
//
// An event about an attempt names it, and is refused unless it is the current one: that, with the fencing
// number in the row, is why a job is never paid twice.

/** A job is tried so often at most, where nothing else is configured: what fails three times fails always. */
export const DEFAULT_MAX_ATTEMPTS = 3;

/**
 * A lease whose order no node acknowledged is not a try: the job was never run. But a job is leased so
 * often at most, lest one whose orders get lost each time goes round for ever.
 */
export const MAX_LEASES = 10;

/** Why a job is to be stopped: the first reason stays. */
export type CancelReason = 'CLIENT' | 'TOTAL_TIMEOUT';

/** The failure of an attempt whose order no node acknowledged in time. */
export const NOT_ACKNOWLEDGED = 'NOT_ACKNOWLEDGED';

/** Of one that its node held for longer than its deadline and all transfers could take. */
export const LEASE_EXPIRED = 'LEASE_EXPIRED';

/** Names of the contract's JobEnd. */
export type End =
  | 'SUCCEEDED'
  | 'GUEST_FAILED'
  | 'OUT_OF_FUEL'
  | 'OUTPUT_TOO_LARGE'
  | 'TRAPPED'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'QUEUE_TIMEOUT'
  | 'INVALID_MODULE'
  | 'NODE_FAULT';

export interface EndOfJob {
  readonly end: End;
  readonly endDetail: string;
  readonly endedMs: number;
}

export type JobState =
  | { readonly kind: 'queued' }
  /** Its last attempt holds a lease. */
  | { readonly kind: 'running' }
  /** Its last attempt is paid; the settlement waits for its signature. */
  | ({ readonly kind: 'settling' } & EndOfJob)
  | ({ readonly kind: 'ended' } & EndOfJob);

export type AttemptState =
  | { readonly kind: 'leased' }
  | { readonly kind: 'acknowledged' }
  | { readonly kind: 'completed'; readonly endedMs: number }
  | { readonly kind: 'failed'; readonly endedMs: number; readonly failure: string };

export interface Attempt {
  readonly attemptId: string;
  readonly nodeId: string;
  /** 1 for the first, rising by one. */
  readonly fence: number;
  readonly leasedMs: number;
  readonly acknowledgeByMs: number;
  readonly leaseEndMs: number;
  readonly state: AttemptState;
  /** What its guest has burnt, as its node last said. */
  readonly progressFuel: bigint;
}

export interface Job {
  readonly jobId: string;
  readonly clientId: string;
  /** Rises with each change. */
  readonly revision: bigint;
  readonly state: JobState;
  readonly cancelReason: CancelReason | null;
  readonly submittedMs: number;
  /** When it was queued last. */
  readonly queuedMs: number;
  /** It waits for so long at most, each time. */
  readonly queueTimeoutMs: number;
  /** From its submission to its end, over all attempts; null for none. */
  readonly totalTimeoutMs: number | null;
  /** First to last. */
  readonly attempts: readonly Attempt[];
}

export type JobEvent =
  | {
      readonly kind: 'lease';
      readonly attempt: Pick<Attempt, 'attemptId' | 'nodeId' | 'acknowledgeByMs' | 'leaseEndMs'>;
    }
  | { readonly kind: 'acknowledge'; readonly attemptId: string }
  | {
      readonly kind: 'fail-attempt';
      readonly attemptId: string;
      readonly failure: string;
      /** How often a job is tried at most. */
      readonly maxAttempts: number;
    }
  /** The lease is past one of its times. */
  | { readonly kind: 'expire'; readonly attemptId: string; readonly maxAttempts: number }
  | {
      readonly kind: 'accept-receipt';
      readonly attemptId: string;
      readonly end: End;
      readonly endDetail: string;
    }
  | { readonly kind: 'cancel' }
  /** Time passed: what waited for too long ends, what runs for too long is stopped. */
  | { readonly kind: 'tick' };

export type Outcome =
  | {
      readonly kind: 'changed';
      readonly job: Job;
      /** Its hold goes back whole. */ readonly released: boolean;
    }
  /** The event happened before. */
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'refused'; readonly reason: Refusal };

export type Refusal = 'NOT_QUEUED' | 'ATTEMPT_STALE' | 'TOO_LATE';

/** The attempt that may write, or null. */
export function currentAttempt(job: Job): Attempt | null {
  return job.state.kind === 'running' ? (job.attempts.at(-1) ?? null) : null;
}

/** What the event makes of the job at this time (Unix milliseconds, of the database). */
export function apply(job: Job, event: JobEvent, nowMs: number): Outcome {
  switch (event.kind) {
    case 'lease':
      return lease(job, event.attempt, nowMs);
    case 'acknowledge':
      return acknowledge(job, event.attemptId, nowMs);
    case 'fail-attempt':
      return failAttempt(job, event, nowMs);
    case 'expire':
      return expire(job, event, nowMs);
    case 'accept-receipt':
      return acceptReceipt(job, event, nowMs);
    case 'cancel':
      return cancel(job, nowMs);
    case 'tick':
      return tick(job, nowMs);
    default:
      return event satisfies never;
  }
}

function lease(
  job: Job,
  terms: Pick<Attempt, 'attemptId' | 'nodeId' | 'acknowledgeByMs' | 'leaseEndMs'>,
  nowMs: number,
): Outcome {
  if (job.state.kind !== 'queued') return refused('NOT_QUEUED');
  if (nowMs >= queueEndMs(job)) return refused('TOO_LATE');
  const attempt: Attempt = {
    ...terms,
    progressFuel: 0n,
    fence: job.attempts.length + 1,
    leasedMs: nowMs,
    state: { kind: 'leased' },
  };
  return changed(job, { state: { kind: 'running' }, attempts: [...job.attempts, attempt] });
}

function acknowledge(job: Job, attemptId: string, nowMs: number): Outcome {
  const attempt = currentAttempt(job);
  if (attempt?.attemptId !== attemptId) return refused('ATTEMPT_STALE');
  if (attempt.state.kind === 'acknowledged') return { kind: 'unchanged' };
  if (nowMs > attempt.acknowledgeByMs) return refused('TOO_LATE');
  return changed(job, { attempts: withLast(job, { ...attempt, state: { kind: 'acknowledged' } }) });
}

function failAttempt(
  job: Job,
  { attemptId, failure, maxAttempts }: Extract<JobEvent, { kind: 'fail-attempt' }>,
  nowMs: number,
): Outcome {
  const attempt = currentAttempt(job);
  if (attempt?.attemptId !== attemptId) return refused('ATTEMPT_STALE');
  const attempts = withLast(job, {
    ...attempt,
    state: { kind: 'failed', endedMs: nowMs, failure },
  });
  const end = endAfterFailure({ ...job, attempts }, maxAttempts);
  return end === null
    ? changed(job, { attempts, state: { kind: 'queued' }, queuedMs: nowMs })
    : endWithoutBill({ ...job, attempts }, { ...end, endedMs: nowMs });
}

/** Judged anew under the lock: meanwhile the order may have been sent again, or acknowledged. */
function expire(
  job: Job,
  { attemptId, maxAttempts }: Extract<JobEvent, { kind: 'expire' }>,
  nowMs: number,
): Outcome {
  const attempt = currentAttempt(job);
  if (attempt?.attemptId !== attemptId) return refused('ATTEMPT_STALE');
  const failure = passedTime(attempt, nowMs);
  if (failure === null) return { kind: 'unchanged' };
  return failAttempt(job, { kind: 'fail-attempt', attemptId, failure, maxAttempts }, nowMs);
}

function passedTime(attempt: Attempt, nowMs: number): string | null {
  if (nowMs > attempt.leaseEndMs) return LEASE_EXPIRED;
  const isWaiting = attempt.state.kind === 'leased';
  return isWaiting && nowMs > attempt.acknowledgeByMs ? NOT_ACKNOWLEDGED : null;
}

/** How a job ends whose last attempt just failed; null when it is tried once more. */
function endAfterFailure(
  job: Job,
  maxAttempts: number,
): Pick<EndOfJob, 'end' | 'endDetail'> | null {
  const failure = failureOf(job.attempts.at(-1));
  if (job.cancelReason !== null) return { end: 'CANCELLED', endDetail: '' };
  // One node may lie about a module or be broken; two that agree are believed.
  const { code, words } = partsOf(failure);
  const invalid = { end: 'INVALID_MODULE', endDetail: words } as const;
  if (nodesThatFailedWith(job, 'INVALID_MODULE').size >= 2) return invalid;
  const tries = job.attempts.filter((attempt) => failureOf(attempt) !== NOT_ACKNOWLEDGED).length;
  if (tries < maxAttempts && job.attempts.length < MAX_LEASES) return null;
  return code === 'INVALID_MODULE' ? invalid : { end: 'NODE_FAULT', endDetail: failure };
}

function acceptReceipt(
  job: Job,
  receipt: { readonly attemptId: string; readonly end: End; readonly endDetail: string },
  nowMs: number,
): Outcome {
  const attempt = currentAttempt(job);
  if (attempt?.attemptId !== receipt.attemptId) return refused('ATTEMPT_STALE');
  return changed(job, {
    state: { kind: 'settling', end: receipt.end, endDetail: receipt.endDetail, endedMs: nowMs },
    attempts: withLast(job, { ...attempt, state: { kind: 'completed', endedMs: nowMs } }),
  });
}

function cancel(job: Job, nowMs: number): Outcome {
  switch (job.state.kind) {
    case 'queued':
      return endWithoutBill(
        { ...job, cancelReason: 'CLIENT' },
        { end: 'CANCELLED', endDetail: '', endedMs: nowMs },
      );
    case 'running':
      return requestCancel(job, 'CLIENT');
    case 'settling':
    case 'ended':
      return { kind: 'unchanged' };
    default:
      return job.state satisfies never;
  }
}

function requestCancel(job: Job, cancelReason: CancelReason): Outcome {
  return job.cancelReason === null ? changed(job, { cancelReason }) : { kind: 'unchanged' };
}

function tick(job: Job, nowMs: number): Outcome {
  switch (job.state.kind) {
    case 'queued':
      return nowMs >= queueEndMs(job)
        ? endWithoutBill(job, { end: 'QUEUE_TIMEOUT', endDetail: '', endedMs: nowMs })
        : { kind: 'unchanged' };
    case 'running':
      return nowMs >= totalEndMs(job) ? requestCancel(job, 'TOTAL_TIMEOUT') : { kind: 'unchanged' };
    case 'settling':
    case 'ended':
      return { kind: 'unchanged' };
    default:
      return job.state satisfies never;
  }
}

/** When a job that is still queued ends: the earlier end of its two timeouts. */
export function queueEndMs(
  job: Pick<Job, 'queuedMs' | 'queueTimeoutMs' | 'submittedMs' | 'totalTimeoutMs'>,
): number {
  return Math.min(job.queuedMs + job.queueTimeoutMs, totalEndMs(job));
}

function totalEndMs(job: Pick<Job, 'submittedMs' | 'totalTimeoutMs'>): number {
  return job.totalTimeoutMs === null
    ? Number.POSITIVE_INFINITY
    : job.submittedMs + job.totalTimeoutMs;
}

/** The nodes of the failed attempts: chosen again only when there is no other. */
export function failedNodes(job: Job): ReadonlySet<string> {
  return new Set(
    job.attempts.filter(({ state }) => state.kind === 'failed').map(({ nodeId }) => nodeId),
  );
}

/** The nodes whose attempts failed for this reason. */
export function nodesThatFailedWith(job: Job, failure: string): ReadonlySet<string> {
  return new Set(
    job.attempts
      .filter((attempt) => partsOf(failureOf(attempt)).code === failure)
      .map(({ nodeId }) => nodeId),
  );
}

/** A failure is a code, or a code and the node's words: `INVALID_MODULE: at byte 8: ...`. */
function partsOf(failure: string): { readonly code: string; readonly words: string } {
  const [code = '', ...words] = failure.split(': ');
  return { code, words: words.join(': ') };
}

function failureOf(attempt: Attempt | undefined): string {
  return attempt?.state.kind === 'failed' ? attempt.state.failure : '';
}

function withLast(job: Job, attempt: Attempt): readonly Attempt[] {
  return [...job.attempts.slice(0, -1), attempt];
}

function changed(job: Job, change: Partial<Job>): Outcome {
  return {
    kind: 'changed',
    job: { ...job, ...change, revision: job.revision + 1n },
    released: false,
  };
}

function endWithoutBill(job: Job, end: EndOfJob): Outcome {
  return {
    kind: 'changed',
    job: { ...job, state: { kind: 'ended', ...end }, revision: job.revision + 1n },
    released: true,
  };
}

function refused(reason: Refusal): Outcome {
  return { kind: 'refused', reason };
}
