import { expect } from 'chai';

import { Links } from './links.ts';
import { parseOptions } from './options.ts';
import { planOf } from './plan.ts';
import { judge, type JobFate } from './verdict.ts';

describe('a chaos run', () => {
  const options = parseOptions(['--seconds', '300', '--kills', '20', '--seed', '7']);

  it('kills the same at the same times for the same seed, and others for another', () => {
    expect(planOf(options)).to.deep.equal(planOf(options));
    expect(planOf(options)).not.to.deep.equal(planOf({ ...options, seed: 8 }));
  });

  it('kills as many as it was asked to, while the load runs', () => {
    const faults = planOf(options);
    expect(faults).to.have.length(20);
    for (const { atMs } of faults) expect(atMs).to.be.within(1, 300_000);
    const kinds = new Set(faults.map(({ victim }) => victim.kind));
    expect([...kinds].toSorted()).to.deep.equal(['agent', 'replica']);
  });

  it('kills all replicas twice, six seconds apart, where that is asked for', () => {
    const twice = planOf({ ...options, mode: 'all-replicas-twice' });
    const all = twice.filter(({ victim }) => victim.kind === 'all-replicas');
    expect(all.map(({ atMs }) => atMs - (all[0]?.atMs ?? 0))).to.deep.equal([0, 6_000]);
    expect(twice).to.have.length(20 - 2 * 3 + 2);
  });

  it('refuses what it cannot do, and says what it can', () => {
    expect(() => parseOptions(['--agents', '0'])).to.throw("--agents '0': give a whole number");
    expect(() => parseOptions(['--mode', 'x'])).to.throw('all-replicas-twice');
  });

  it('measures how long agents are away from the death of their replica', () => {
    const links = new Links();
    for (const replica of ['a', 'b']) links.replicaReady(replica, 0);
    links.agentLinked(1, 'a', 0);
    links.agentLinked(2, 'b', 0);
    links.replicaDied('a', 1_000);
    links.agentLinked(1, 'b', 1_300);
    expect(links.returns).to.deep.equal([{ agent: 1, ms: 300, afterAllDied: false }]);
    expect(links.awayCount).to.equal(0);
  });

  it('measures from the first that is ready where all died, and nothing of an agent that died itself', () => {
    const links = new Links();
    for (const replica of ['a', 'b']) links.replicaReady(replica, 0);
    for (const agent of [1, 2]) links.agentLinked(agent, 'a', 0);
    links.agentLinked(3, 'b', 0);
    links.replicaDied('a', 1_000);
    links.replicaDied('b', 1_010);
    links.agentDied(2);
    links.replicaReady('b', 5_000);
    links.replicaReady('a', 5_500);
    links.agentLinked(1, 'a', 6_000);
    links.agentLinked(2, 'a', 7_000);
    expect(links.returns).to.deep.equal([{ agent: 1, ms: 1_000, afterAllDied: true }]);
    expect(links.awayCount, 'the third is not back').to.equal(1);
  });

  const fate = (changes: Partial<JobFate>): JobFate => ({
    jobId: 'j-1',
    state: 'ended',
    end: 'SUCCEEDED',
    attempts: 1,
    completedAttempts: 1,
    bills: 1,
    settlements: 1,
    releases: 0,
    ...changes,
  });
  const even = { sumMicrocents: 0n, heldMicrocents: 0n };
  const judged = (job: JobFate, paid: string[] = [], books = even) =>
    judge(
      ['j-1'],
      { fates: new Map([[job.jobId, job]]), ...books },
      new Map([['j-1', new Set(paid)]]),
    );

  it('finds nothing wrong with a job that ended once and was paid once', () => {
    const verdict = judged(fate({}), ['a-1']);
    expect(verdict).to.deep.include({ ended: 1, lost: [], paidTwice: [], problems: [] });
  });

  it('finds what is lost, paid twice, or does not add up', () => {
    expect(judged(fate({ jobId: 'j-2' })).lost).to.deep.equal(['j-1']);
    expect(judged(fate({ state: 'running', end: null })).lost).to.deep.equal(['j-1']);
    expect(judged(fate({ completedAttempts: 2 })).paidTwice).to.deep.equal(['j-1']);
    expect(judged(fate({}), ['a-1', 'a-2']).paidTwice).to.deep.equal(['j-1']);
    expect(judged(fate({ releases: 1 })).problems).to.have.length(1);
    expect(
      judged(fate({ bills: 0, settlements: 0, releases: 1 }), ['a-1']).problems,
    ).to.have.length(1);
    expect(judged(fate({}), ['a-1'], { ...even, sumMicrocents: 1n }).problems).to.have.length(1);
    expect(judged(fate({}), ['a-1'], { ...even, heldMicrocents: 1n }).problems).to.have.length(1);
  });
});
