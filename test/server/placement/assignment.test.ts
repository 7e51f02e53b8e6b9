import { expect } from 'chai';
import fc from 'fast-check';
import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import {
  assign,
  meets,
  NO_TRAITS,
  type NodeTraits,
  type WaitingJob,
  type Worker,
} from '../../../server/placement/assignment.ts';
import { GroupCommit } from '../../../server/store/group-commit.ts';
import { HeldAttempts, type HeldAttempt } from '../../../server/placement/held-attempts.ts';
import { freeSlots, NO_SLOTS, offer, sent, settled } from '../../../server/placement/slots.ts';
import type { JobConstraints } from '../../../server/jobs/job-record.ts';
import { failedNodes, type Job } from '../../../server/jobs/jobs.ts';

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

function waiting(of: Job, constraints: Partial<JobConstraints> = {}): WaitingJob {
  const any = { labels: {}, isolationLevel: IsolationLevel.UNSPECIFIED };
  return { job: of, terms: { constraints: { ...any, ...constraints } } };
}

describe('placing jobs', () => {
  const worker = (nodeId: string, free = 1, traits: Partial<NodeTraits> = {}): Worker => ({
    ...NO_TRAITS,
    ...traits,
    nodeId,
    freeSlots: free,
  });
  const placed = (
    jobs: readonly WaitingJob[],
    workers: readonly Worker[],
    { elsewhere = [], nowMs = 0 }: { elsewhere?: readonly string[]; nowMs?: number } = {},
  ) =>
    assign(jobs, workers, {
      workingNodes: () => [...workers.map(({ nodeId }) => nodeId), ...elsewhere],
      nowMs,
    }).map(({ job: { jobId }, nodeId }) => `${jobId} ${nodeId}`);

  it('gives the first one first, spread over the free slots, and never more than there are', () => {
    const jobs = ['j1', 'j2', 'j3', 'j4'].map((jobId) => waiting(job(jobId)));
    expect(placed(jobs, [worker('n1'), worker('n2', 2)])).to.deep.equal([
      'j1 n2',
      'j2 n1',
      'j3 n2',
    ]);
  });

  it('lets a job wait for a busy node rather than fail again, without holding up the next', () => {
    const failed = waiting(job('j1', ['n1']));
    expect(placed([failed, waiting(job('j2'))], [worker('n1'), worker('n2', 0)])).to.deep.equal([
      'j2 n1',
    ]);
    expect(placed([failed], [worker('n1')])).to.deep.equal(['j1 n1']);
  });

  it('does not let a job wait for ever for a node that stays busy', () => {
    const failed = waiting(job('j1', ['n1']));
    const workers = [worker('n1'), worker('n2', 0)];
    expect(placed([failed], workers, { nowMs: 5_000 })).to.deep.equal([]);
    expect(placed([failed], workers, { nowMs: 100_000 })).to.deep.equal(['j1 n1']);
  });

  it('lets a job wait a moment for nodes of other replicas, and not for ever', () => {
    const failed = waiting(job('j1', ['n1']));
    expect(placed([failed], [worker('n1')], { elsewhere: ['n2'], nowMs: 100 })).to.deep.equal([]);
    expect(placed([failed], [worker('n1')], { elsewhere: ['n2'], nowMs: 5_000 })).to.deep.equal([
      'j1 n1',
    ]);
  });

  it('gives a job only to a node with its labels and at least its isolation', () => {
    const gpu = waiting(job('j1'), { labels: { gpu: 'yes' } });
    const namespaces = waiting(job('j2'), { isolationLevel: IsolationLevel.NAMESPACES });
    const any = waiting(job('j3'));
    const isolationLevel = IsolationLevel.NAMESPACES;
    const workers = [
      worker('plain', 1, { labels: { gpu: 'no' } }),
      worker('gpu', 1, { labels: { gpu: 'yes', zone: 'a' } }),
      worker('jail', 1, { isolationLevel }),
    ];
    expect(placed([gpu, namespaces, any], workers)).to.deep.equal([
      'j1 gpu',
      'j2 jail',
      'j3 plain',
    ]);
    expect(placed([gpu, namespaces, any], [workers[0]!])).to.deep.equal(['j3 plain']);
    // A name that every object has is no label.
    const odd = waiting(job('j4'), { labels: { constructor: '' } });
    expect(placed([odd], workers)).to.deep.equal([]);
  });

  it('never gives a slot twice, nor a job to a node that does not meet it, whatever comes', () => {
    const labels = fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom('1', '2'));
    const isolationLevel = fc.constantFrom(IsolationLevel.PROCESS, IsolationLevel.NAMESPACES);
    const nodes = fc.array(
      fc.record({ labels, isolationLevel, freeSlots: fc.integer({ min: 0, max: 3 }) }),
      { maxLength: 6 },
    );
    const jobs = fc.array(
      fc.record({
        constraints: fc.record({ labels, isolationLevel }),
        failedOn: fc.uniqueArray(fc.constantFrom('n0', 'n1', 'n2'), { maxLength: 2 }),
      }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(nodes, jobs, (given, asked) => {
        const workers = given.map((node, index) => ({ ...node, nodeId: `n${index}` }));
        const queue = asked.map(({ constraints, failedOn }, index) =>
          waiting(job(`j${index}`, failedOn), constraints),
        );
        const assigned = assign(queue, workers, { workingNodes: () => [], nowMs: 0 });
        for (const one of assigned) {
          const target = workers.find(({ nodeId }) => nodeId === one.nodeId)!;
          const { terms } = queue.find((candidate) => candidate.job === one.job)!;
          expect(meets(target, terms.constraints)).to.equal(true);
        }
        for (const { nodeId, freeSlots: free } of workers) {
          expect(assigned.filter((one) => one.nodeId === nodeId).length).to.be.at.most(free);
        }
        // What waits though a slot is free waits for constraints, or for a node on which it did not fail.
        const taken = new Set(assigned.map((one) => one.job));
        for (const { job: left, terms } of queue.filter((one) => !taken.has(one.job))) {
          const fits = workers.filter((node) => meets(node, terms.constraints));
          const failed = failedNodes(left);
          const fresh = fits.filter(({ nodeId }) => !failed.has(nodeId));
          for (const { nodeId, freeSlots: free } of fresh.length > 0 ? fresh : fits) {
            expect(assigned.filter((one) => one.nodeId === nodeId).length).to.equal(free);
          }
        }
      }),
    );
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

  it('are read again from the database without forgetting what was missed, and count anew elsewhere', () => {
    const held = new HeldAttempts();
    const [kept, gone] = ['kept', 'gone'].map((attemptId) => ({
      nodeId: 'n',
      jobId: 'j',
      attemptId,
    })) as [HeldAttempt, HeldAttempt];
    held.replace([kept, gone]);
    expect(held.beat('n', [])).to.deep.equal([]);
    held.replace([kept]);
    expect(held.of('n')).to.deep.equal(['kept']);
    held.startAnew('n');
    expect(held.beat('n', [])).to.deep.equal([]);
    held.replace([kept]);
    expect(held.beat('n', [])).to.deep.equal([kept]);
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
