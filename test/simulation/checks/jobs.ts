// No acknowledged job is lost: each ended, once, as its client was told; and its attempts followed the
// rules of leases.
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { endName } from '../../../protocol/bill/ends.ts';
import { decodeWorkOrder } from '../../../protocol/bill/work-order.ts';
import type { BeatRecord } from '../beat-record.ts';
import { LIMITS, type ClientJob, type SimulatedClient } from '../client.ts';
import { DEFAULT_TRANSFER_GRACE_MS } from '../../../server/placement/work-order.ts';
import type { AttemptRow, JobRow, Rows, Step } from './rows.ts';

const MAX_TRIES = 3;
const MAX_LEASES = 10;
/** Transfers, and the deadline that every simulated job asks for. */
const LEASE_MS = DEFAULT_TRANSFER_GRACE_MS + LIMITS.deadlineEpochs * 10;

export function checkJobs(clients: readonly SimulatedClient[], rows: Rows): readonly string[] {
  const byId = new Map(rows.jobs.map((job) => [job.job_id, job]));
  return clients.flatMap(({ jobs, complaints }) => [
    ...complaints,
    ...jobs.flatMap((job) => checkTold(job, byId.get(job.jobId ?? ''))),
  ]);
}

function checkTold(told: ClientJob, row: JobRow | undefined): readonly string[] {
  if (told.jobId === null) return [`'${told.requestId}' was never acknowledged`];
  if (row === undefined) return [`'${told.jobId}' was acknowledged and is lost`];
  if (!told.isOver) return [`'${told.jobId}' never ended for its client: it is ${row.state}`];
  const end = endName(told.last?.end ?? JobEnd.UNSPECIFIED);
  return [
    ...(row.request_id === told.requestId ? [] : [`'${told.jobId}' is of another request`]),
    ...(row.end === end ? [] : [`'${told.jobId}' ended ${row.end}, its client was told ${end}`]),
    ...((told.last?.chargeMicrocents ?? 0n) === (row.charge_microcents ?? 0n)
      ? []
      : [`'${told.jobId}' is charged otherwise than its client was told`]),
    ...((row.charge_microcents === null) === (told.bill === null)
      ? []
      : [`'${told.jobId}' ended ${row.end} with${told.bill === null ? 'out' : ''} a bill`]),
  ];
}

/** Of every job, whoever heard of it: queued, running, settling, ended, and never back from there. */
export function checkLives({ jobs, attempts, steps }: Rows): readonly string[] {
  const problems: string[] = [];
  for (const job of jobs) {
    if (job.state !== 'ended') problems.push(`'${job.job_id}' is ${job.state} for ever`);
    const life = steps.filter(({ what, id }) => what === 'job' && id === job.job_id);
    problems.push(...checkLife(job.job_id, life));
  }
  for (const attempt of attempts) {
    if (attempt.state !== 'completed' && attempt.state !== 'failed') {
      problems.push(`the lease of '${attempt.attempt_id}' is ${attempt.state} for ever`);
    }
    const ends = steps.filter(
      ({ what, id, became }) =>
        what === 'attempt' &&
        id === attempt.attempt_id &&
        (became === 'completed' || became === 'failed'),
    );
    if (ends.length > 1) problems.push(`'${attempt.attempt_id}' ended ${ends.length} times`);
  }
  return problems;
}

function checkLife(jobId: string, life: readonly Step[]): readonly string[] {
  const problems: string[] = [];
  let revision = 0;
  let ends = 0;
  let settlements = 0;
  for (const { was, became, detail } of life) {
    if (Number(detail) !== revision + 1) {
      problems.push(`'${jobId}' went from revision ${revision} to ${detail}`);
    }
    revision = Number(detail);
    if (was === 'ended' && became !== 'ended')
      problems.push(`'${jobId}' had ended and changed to ${became}`);
    if (became === 'ended' && was !== 'ended') ends++;
    if (became === 'settling' && was !== 'settling') settlements++;
  }
  if (ends > 1) problems.push(`'${jobId}' ended ${ends} times`);
  if (settlements > 1) problems.push(`'${jobId}' was settled ${settlements} times`);
  return problems;
}

/** Each job's attempts one after the other, few enough, of one seed, timed by the database's clock. */
export function checkAttempts({ jobs, attempts, steps }: Rows): readonly string[] {
  return jobs.flatMap((job) => {
    const own = attempts.filter(({ job_id }) => job_id === job.job_id);
    const tries = own.filter(({ failure }) => failure !== 'NOT_ACKNOWLEDGED').length;
    const seeds = new Set(
      own.map(({ order_payload }) =>
        Buffer.from(decodeWorkOrder(order_payload).seed).toString('hex'),
      ),
    );
    return [
      ...own.flatMap((attempt, index) =>
        attempt.fence === index + 1
          ? []
          : [`'${attempt.attempt_id}' has the fence ${attempt.fence}, not ${index + 1}`],
      ),
      ...(tries > MAX_TRIES ? [`'${job.job_id}' was tried ${tries} times`] : []),
      ...(own.length > MAX_LEASES ? [`'${job.job_id}' was leased ${own.length} times`] : []),
      ...(seeds.size > 1 ? [`'${job.job_id}' had ${seeds.size} seeds`] : []),
      ...own.flatMap((attempt) => checkTimes(attempt, steps)),
      ...checkOneAtATime(own, steps),
    ];
  });
}

function checkTimes(attempt: AttemptRow, steps: readonly Step[]): readonly string[] {
  const { attempt_id, leased_ms, lease_end_ms, acknowledge_by_ms, failure } = attempt;
  const own = steps.filter(({ what, id }) => what === 'attempt' && id === attempt_id);
  const beganMs = own[0]?.at_ms ?? 0;
  const endedMs = own.at(-1)?.at_ms ?? 0;
  if (leased_ms !== beganMs) {
    return [`'${attempt_id}' was leased at ${beganMs}, and says ${leased_ms}`];
  }
  if (failure === 'LEASE_EXPIRED' && endedMs <= lease_end_ms) {
    return [`'${attempt_id}' expired ${lease_end_ms - endedMs} ms before its lease's end`];
  }
  if (failure === 'NOT_ACKNOWLEDGED' && endedMs <= acknowledge_by_ms) {
    return [`'${attempt_id}' was not waited for to be acknowledged`];
  }
  if (lease_end_ms - leased_ms !== LEASE_MS) {
    return [`the lease of '${attempt_id}' is of ${lease_end_ms - leased_ms} ms`];
  }
  const acknowledged = own.find(({ became }) => became === 'acknowledged');
  if ((acknowledged?.at_ms ?? 0) > acknowledge_by_ms) {
    return [`'${attempt_id}' was acknowledged too late, and that counted`];
  }
  return [];
}

function checkOneAtATime(
  attempts: readonly AttemptRow[],
  steps: readonly Step[],
): readonly string[] {
  const own = new Set(attempts.map(({ attempt_id }) => attempt_id));
  const open = new Set<string>();
  const problems: string[] = [];
  for (const { what, id, became } of steps) {
    if (what !== 'attempt' || !own.has(id)) continue;
    if (became === 'leased' || became === 'acknowledged') open.add(id);
    else open.delete(id);
    if (open.size > 1)
      problems.push(`${[...open].join(' and ')} held the lease of one job at once`);
  }
  return problems;
}

/** Without guests that hang, somebody notices long before its end that a lease is held for nothing. */
export function checkExpired({ attempts }: Rows): readonly string[] {
  return attempts.flatMap(({ attempt_id, failure }) =>
    failure === 'LEASE_EXPIRED'
      ? [`'${attempt_id}' was held for nothing until its lease ended`]
      : [],
  );
}

/** A node that is heard keeps what it acknowledged. */
export function checkLosses(
  { attempts, steps }: Rows,
  beats: BeatRecord,
  lostAfterIntervals: number,
): readonly string[] {
  return attempts.flatMap(({ attempt_id, node_id, failure }) => {
    if (failure !== 'NODE_LOST') return [];
    const lost = steps.findLast(({ what, id }) => what === 'attempt' && id === attempt_id);
    const lostMs = lost?.at_ms ?? 0;
    const last = beats.lastBefore(node_id, lostMs);
    const silentMs = last === null ? Infinity : lostMs - last.atMs;
    return last === null || silentMs >= lostAfterIntervals * last.grantedIntervalMs
      ? []
      : [`'${attempt_id}' was lost ${silentMs} ms after a beat of its node`];
  });
}
