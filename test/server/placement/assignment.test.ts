import { expect } from 'chai';
import { assign } from '../../../server/placement/assignment.ts';
import { GroupCommit } from '../../../server/placement/group-commit.ts';
import { HeldAttempts } from '../../../server/placement/held-attempts.ts';
import { freeSlots, NO_SLOTS, offer, sent, settled } from '../../../server/placement/slots.ts';
import type { Job } from '../../../server/jobs/jobs.ts';

function job(jobId: string, failedOn: readonly string[] = []): Job {
  return {
    jobId,
    clientId: 'c',
    revision: 1n,
    state: { kind: 'queued' },
    cancelReason: null,
    submittedMs: 0,
    queuedMs: 0,
    queueTimeoutMs: 1_000,
    totalTimeoutMs: null,
    attempts: failedOn.map((nodeId, index) => ({
      attemptId: `a${index}`,
      nodeId,
      fence: index + 1,
      leasedMs: 0,
      acknowledgeByMs: 0,
      leaseEndMs: 0,
      progressFuel: 0n,
      state: { kind: 'failed', endedMs: 0, failure: 'NODE_LOST' },
    })),
  };
}

describe('placing jobs', () => {
  const placed = (
    jobs: readonly Job[],
    slots: Readonly<Record<string, number>>,
    working = Object.keys(slots),
  ) =>
    assign(jobs, {
      offers: Object.entries(slots).map(([nodeId, free]) => ({ nodeId, freeSlots: free })),
      working,
    }).map(({ job: { jobId }, nodeId }) => `${jobId} ${nodeId}`);

  it('gives the oldest first, spread over the free slots, and never more than there are', () => {
    expect(placed([job('j1'), job('j2'), job('j3'), job('j4')], { n1: 1, n2: 2 })).to.deep.equal([
      'j1 n2',
      'j2 n1',
      'j3 n2',
    ]);
  });

  it('lets a job wait for a busy node rather than fail again, without holding up the next', () => {
    expect(placed([job('j1', ['n1']), job('j2')], { n1: 1 }, ['n1', 'n2'])).to.deep.equal([
      'j2 n1',
    ]);
    expect(placed([job('j1', ['n1'])], { n1: 1 })).to.deep.equal(['j1 n1']);
  });
});

describe("a node's slots", () => {
  it('take what was on its way off an offer, so that no order comes where there is none', () => {
    let slots = offer(NO_SLOTS, 2);
    slots = sent(slots, 'a1');
    expect(freeSlots(slots)).to.equal(1);
    slots = offer(slots, 1);
    expect(freeSlots(slots)).to.equal(0);
    slots = settled(slots, 'a1');
    expect(freeSlots(slots)).to.equal(0);
    expect(freeSlots(offer(slots, 1))).to.equal(1);
  });
});

describe('the attempts that a node holds', () => {
  it('are missed when two beats in a row do not name them', () => {
    const held = new HeldAttempts();
    const attempt = { nodeId: 'n', jobId: 'j', attemptId: 'a' };
    held.add(attempt);
    expect(held.beat('n', [])).to.deep.equal([]);
    expect(held.beat('n', ['a'])).to.deep.equal([]);
    expect(held.beat('n', [])).to.deep.equal([]);
    expect(held.beat('n', [])).to.deep.equal([attempt]);
    held.remove(attempt);
    expect(held.beat('n', [])).to.deep.equal([]);
  });
});

describe('work that is done for many at once', () => {
  it('takes those who came during one batch into the next, and tells each its own result', async () => {
    const batches: number[][] = [];
    const first = Promise.withResolvers<void>();
    const commits = new GroupCommit(async (items: readonly number[]) => {
      batches.push([...items]);
      if (batches.length === 1) await first.promise;
      if (items.includes(3)) throw new Error('the batch failed');
      return items.map((item) => item * 10);
    });
    const one = commits.add(0);
    const later = [commits.add(1), commits.add(2)];
    first.resolve();
    expect(await one).to.equal(0);
    expect(await Promise.all(later)).to.deep.equal([10, 20]);
    expect(batches).to.deep.equal([[0], [1, 2]]);
    const failed = await Promise.allSettled([commits.add(3)]);
    expect(failed[0]?.status).to.equal('rejected');
    expect(await commits.add(4)).to.equal(40);
  });
});
