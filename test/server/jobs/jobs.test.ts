import { expect } from 'chai';
import fc from 'fast-check';
import {
  apply,
  currentAttempt,
  MAX_LEASES,
  NOT_ACKNOWLEDGED,
  queueEndMs,
  type Job,
  type JobEvent,
} from '../../../server/jobs/jobs.ts';

const NEW_JOB: Job = {
  jobId: 'j',
  clientId: 'c',
  revision: 1n,
  state: { kind: 'queued' },
  cancelReason: null,
  submittedMs: 0,
  queuedMs: 0,
  queueTimeoutMs: 8,
  totalTimeoutMs: 25,
  attempts: [],
};

/** Any event, about any of the attempts that there may be, also those that never were. */
const events: fc.Arbitrary<JobEvent> = fc.integer({ min: 1, max: 5 }).chain((number) => {
  const attemptId = `a${number}`;
  return fc.oneof(
    fc.record({
      kind: fc.constant('lease' as const),
      attempt: fc.record({
        attemptId: fc.constant(attemptId),
        nodeId: fc.constantFrom('n1', 'n2', 'n3'),
        acknowledgeByMs: fc.integer({ min: 0, max: 100 }),
        leaseEndMs: fc.constant(1_000),
      }),
    }),
    fc.constant<JobEvent>({ kind: 'acknowledge', attemptId }),
    fc.record({
      kind: fc.constant('fail-attempt' as const),
      attemptId: fc.constant(attemptId),
      failure: fc.constantFrom('NODE_LOST', 'INVALID_MODULE', 'SANDBOX_DIED', NOT_ACKNOWLEDGED),
      maxAttempts: fc.constant(3),
    }),
    fc.constant<JobEvent>({
      kind: 'accept-receipt',
      attemptId,
      end: 'SUCCEEDED',
      endDetail: '',
    }),
    fc.constant<JobEvent>({ kind: 'cancel' }),
    fc.constant<JobEvent>({ kind: 'tick' }),
  );
});

describe("a job's life", () => {
  it('whatever happens in whatever order: one payment at most, and never one beside a release', () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 30 }), (story) => {
        let job = NEW_JOB;
        let paid = 0;
        let released = 0;
        for (const [nowMs, event] of story.entries()) {
          const before = job;
          const outcome = apply(job, event, nowMs);
          if (outcome.kind !== 'changed') continue;
          ({ job } = outcome);
          if (outcome.released) released++;
          if (job.state.kind === 'settling') paid++;
          expect(job.revision).to.equal(before.revision + 1n);
          expect(before.state.kind).not.to.equal('ended');
          // Only a running job has a lease, and only one; earlier attempts have ended for good.
          const open = job.attempts.filter(({ state }) =>
            ['leased', 'acknowledged'].includes(state.kind),
          );
          expect(open).to.deep.equal(currentAttempt(job) === null ? [] : [currentAttempt(job)]);
          expect(job.attempts.map(({ fence }) => fence)).to.deep.equal(
            job.attempts.map((_, index) => index + 1),
          );
          const tries = job.attempts.filter(
            ({ state }) => state.kind !== 'failed' || state.failure !== NOT_ACKNOWLEDGED,
          );
          expect(tries.length).to.be.at.most(3);
          expect(job.attempts.length).to.be.at.most(MAX_LEASES);
          // The first reason for a stop stays.
          if (before.cancelReason !== null) expect(job.cancelReason).to.equal(before.cancelReason);
          // Each wait counts anew, and none counts beyond the total.
          if (job.state.kind === 'queued' && before.state.kind !== 'queued') {
            expect(job.queuedMs).to.equal(nowMs);
            expect(queueEndMs(job)).to.equal(Math.min(nowMs + 8, 25));
          }
          if (event.kind === 'lease') expect(nowMs).to.be.below(queueEndMs(before));
        }
        const isOver = job.state.kind === 'settling' || job.state.kind === 'ended';
        expect(paid + released).to.equal(isOver ? 1 : 0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('an attempt that is not the current one writes nothing', () => {
    const given = apply(
      NEW_JOB,
      {
        kind: 'lease',
        attempt: { attemptId: 'a1', nodeId: 'n1', acknowledgeByMs: 5, leaseEndMs: 9 },
      },
      0,
    );
    if (given.kind !== 'changed') throw new Error('a queued job was not leased');
    const stale = { kind: 'refused', reason: 'ATTEMPT_STALE' } as const;
    const receipt = { kind: 'accept-receipt', end: 'SUCCEEDED', endDetail: '' } as const;
    expect(apply(given.job, { ...receipt, attemptId: 'a0' }, 1)).to.deep.equal(stale);
    expect(apply(NEW_JOB, { ...receipt, attemptId: 'a1' }, 1)).to.deep.equal(stale);
    const late = apply(given.job, { kind: 'acknowledge', attemptId: 'a1' }, 6);
    expect(late).to.deep.equal({ kind: 'refused', reason: 'TOO_LATE' });
  });

  it('goes on after orders that no node acknowledged, but not for ever', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: MAX_LEASES, maxLength: MAX_LEASES }),
        (acknowledged) => {
          let job: Job = { ...NEW_JOB, queueTimeoutMs: 1_000, totalTimeoutMs: null };
          let tries = 0;
          for (const [index, isTry] of acknowledged.entries()) {
            job = failedOnce(job, `a${index}`, isTry ? 'NODE_LOST' : NOT_ACKNOWLEDGED);
            if (isTry) tries++;
            const isOver = tries === 3 || index + 1 === MAX_LEASES;
            expect(job.state.kind).to.equal(isOver ? 'ended' : 'queued');
            if (isOver) return;
          }
        },
      ),
    );
  });

  it('a job that runs when its total time is over is stopped, and one that waits ends', () => {
    const running = leased(NEW_JOB, 'a1', 1);
    expect(apply(running, { kind: 'tick' }, 24)).to.deep.equal({ kind: 'unchanged' });
    const stopped = changedBy(running, { kind: 'tick' }, 25);
    expect(stopped.cancelReason).to.equal('TOTAL_TIMEOUT');
    expect(apply(stopped, { kind: 'tick' }, 26)).to.deep.equal({ kind: 'unchanged' });
    expect(changedBy(stopped, { kind: 'cancel' }, 27, 'unchanged')).to.equal(stopped);
    const queuedAgain = failedOnce({ ...NEW_JOB, queuedMs: 20 }, 'a1', 'NODE_LOST', 20);
    expect(changedBy(queuedAgain, { kind: 'tick' }, 25).state).to.deep.equal({
      kind: 'ended',
      end: 'QUEUE_TIMEOUT',
      endDetail: '',
      endedMs: 25,
    });
  });
});

function leased(job: Job, attemptId: string, nowMs: number): Job {
  const attempt = { attemptId, nodeId: 'n1', acknowledgeByMs: nowMs + 5, leaseEndMs: 1_000 };
  return changedBy(job, { kind: 'lease', attempt }, nowMs);
}

function failedOnce(job: Job, attemptId: string, failure: string, nowMs = 1): Job {
  const event = { kind: 'fail-attempt', attemptId, failure, maxAttempts: 3 } as const;
  return changedBy(leased(job, attemptId, nowMs), event, nowMs);
}

/** The job after an event that is to change it, or to leave it as it is. */
function changedBy(job: Job, event: JobEvent, nowMs: number, expected = 'changed'): Job {
  const outcome = apply(job, event, nowMs);
  expect(outcome.kind).to.equal(expected);
  return outcome.kind === 'changed' ? outcome.job : job;
}
