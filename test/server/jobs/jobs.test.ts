import { expect } from 'chai';
import fc from 'fast-check';
import { apply, currentAttempt, type Job, type JobEvent } from '../../../server/jobs/jobs.ts';

const NEW_JOB: Job = {
  jobId: 'j',
  clientId: 'c',
  revision: 1n,
  state: { kind: 'queued' },
  cancelRequested: false,
  submittedMs: 0,
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
      failure: fc.constantFrom('NODE_LOST', 'INVALID_MODULE', 'SANDBOX_DIED'),
      maxAttempts: fc.constant(3),
    }),
    fc.constant<JobEvent>({
      kind: 'accept-receipt',
      attemptId,
      end: 'SUCCEEDED',
      endDetail: '',
    }),
    fc.constant<JobEvent>({ kind: 'cancel' }),
    fc.constant<JobEvent>({ kind: 'time-out-of-queue' }),
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
          expect(job.attempts.length).to.be.at.most(3);
        }
        const isOver = job.state.kind === 'settling' || job.state.kind === 'ended';
        expect(paid + released).to.equal(isOver ? 1 : 0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('an attempt that is not the current one writes nothing', () => {
    const leased = apply(
      NEW_JOB,
      {
        kind: 'lease',
        attempt: { attemptId: 'a1', nodeId: 'n1', acknowledgeByMs: 5, leaseEndMs: 9 },
      },
      0,
    );
    if (leased.kind !== 'changed') throw new Error('a queued job was not leased');
    const stale = { kind: 'refused', reason: 'ATTEMPT_STALE' } as const;
    const receipt = { kind: 'accept-receipt', end: 'SUCCEEDED', endDetail: '' } as const;
    expect(apply(leased.job, { ...receipt, attemptId: 'a0' }, 1)).to.deep.equal(stale);
    expect(apply(NEW_JOB, { ...receipt, attemptId: 'a1' }, 1)).to.deep.equal(stale);
    const late = apply(leased.job, { kind: 'acknowledge', attemptId: 'a1' }, 6);
    expect(late).to.deep.equal({ kind: 'refused', reason: 'TOO_LATE' });
  });
});
