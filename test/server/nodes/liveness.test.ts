import { expect } from 'chai';
import fc from 'fast-check';
import {
  judgeSilence,
  LEAST_NODES_TO_DAMP,
  leasesHoldUntilMs,
  type Grace,
  type SilentNode,
} from '../../../server/nodes/liveness.ts';

const PERIOD_MS = 60_000;
const TERMS = { lostPeriodMs: PERIOD_MS, writtenWithinMs: 2_000 };
/** The longest that an honest silence may take to be noticed: its own period, a grace, and what is written late. */
const LONGEST_SILENCE_MS = 4 * PERIOD_MS;

/** A fleet as the database would have it, judged every second; times in ms from its first moment. */
class World {
  nowMs = 10 * PERIOD_MS;
  /** No beat can be accepted since then. */
  deafSinceMs: number | null = null;
  grace: Grace = { untilMs: 0, observedMs: this.nowMs, isDamped: false };
  readonly lastBeatMs = new Map<string, number>();
  readonly lostMs = new Map<string, number>();
  readonly graces: { readonly fromMs: number; readonly untilMs: number }[] = [];

  constructor(nodes: number) {
    for (let node = 0; node < nodes; node++) this.lastBeatMs.set(`n-${node}`, this.nowMs);
  }

  beat(nodeId: string): void {
    this.lastBeatMs.set(nodeId, this.nowMs);
    this.lostMs.delete(nodeId);
  }

  judge(): readonly SilentNode[] {
    const { nowMs } = this;
    const rows = [...this.lastBeatMs].map(([nodeId, lastBeatMs]) => ({
      nodeId,
      lastBeatMs,
      lostPeriodMs: PERIOD_MS,
    }));
    const isLost = (nodeId: string) => this.lostMs.has(nodeId);
    const before = rows.filter(
      ({ nodeId }) => (this.lostMs.get(nodeId) ?? Infinity) > nowMs - PERIOD_MS,
    );
    const { grace, lose } = judgeSilence(
      this.grace,
      {
        nowMs,
        silent: rows.filter(
          ({ nodeId, lastBeatMs }) => !isLost(nodeId) && lastBeatMs + PERIOD_MS / 2 < nowMs,
        ),
        lostLately: before.filter(({ nodeId }) => isLost(nodeId)).length,
        liveBefore: before.length,
        heardMs: Math.max(...this.lastBeatMs.values()),
        deafMs: this.deafSinceMs === null ? 0 : nowMs - this.deafSinceMs,
      },
      TERMS,
    );
    if (grace.untilMs > this.grace.untilMs) {
      this.graces.push({ fromMs: nowMs, untilMs: grace.untilMs });
    }
    this.grace = grace;
    for (const { nodeId } of lose) this.lostMs.set(nodeId, nowMs);
    return lose;
  }

  /** Time passes; those who beat do so every 15 s, each at its own second. */
  pass(ms: number, beats: (nodeId: string) => boolean, observes = true): void {
    const endMs = this.nowMs + ms;
    const nodeIds = [...this.lastBeatMs.keys()];
    while (this.nowMs < endMs) {
      this.nowMs += 1_000;
      nodeIds.forEach((nodeId, index) => {
        if ((this.nowMs / 1_000 + index) % 15 === 0 && beats(nodeId)) this.beat(nodeId);
      });
      if (observes) this.judge();
    }
  }
}

describe('the end of an acknowledged lease', () => {
  it('is put off by the grace that the next judgement gives, whoever looks first', () => {
    const times = fc.record({ untilMs: fc.nat(120_000), observedMs: fc.nat(60_000) });
    fc.assert(
      fc.property(times, fc.nat(120_000), ({ untilMs, observedMs }, sinceMs) => {
        const nowMs = observedMs + sinceMs;
        const before = { untilMs, observedMs, isDamped: false };
        const silence = { nowMs, silent: [], lostLately: 0, liveBefore: 0, heardMs: 0, deafMs: 0 };
        const { grace } = judgeSilence(before, silence, TERMS);
        const heldMs = leasesHoldUntilMs(before, nowMs, PERIOD_MS);
        expect(Math.max(heldMs, nowMs)).to.equal(Math.max(grace.untilMs, nowMs));
      }),
    );
  });
});

describe('the loss of a node', () => {
  it('comes after its lost-period and what writing may take, not before, and once', () => {
    const world = new World(3);
    world.pass(61_000, (nodeId) => nodeId !== 'n-0');
    expect(world.lostMs.size).to.equal(0);
    world.pass(1_000, (nodeId) => nodeId !== 'n-0');
    expect([...world.lostMs.keys()]).to.deep.equal(['n-0']);
    expect(world.judge()).to.deep.equal([]);
  });

  it('waits a full lost-period after nobody could hear the nodes', () => {
    const world = new World(3);
    world.pass(2 * 3_600_000, () => false, false);
    world.pass(59_000, (nodeId) => nodeId === 'n-1');
    expect(world.lostMs.size).to.equal(0);
    world.pass(3_000, (nodeId) => nodeId === 'n-1');
    expect([...world.lostMs.keys()]).to.have.members(['n-0', 'n-2']);
  });

  it('waits while Redis is away and no beat can be accepted, and a lost-period longer', () => {
    const world = new World(3);
    world.deafSinceMs = world.nowMs;
    world.pass(5 * PERIOD_MS, () => false);
    expect(world.lostMs.size).to.equal(0);
    world.deafSinceMs = null;
    world.pass(59_000, (nodeId) => nodeId === 'n-1');
    expect(world.lostMs.size).to.equal(0);
    world.pass(3_000, (nodeId) => nodeId === 'n-1');
    expect([...world.lostMs.keys()]).to.have.members(['n-0', 'n-2']);
  });

  it('waits for nobody where another replica hears nodes: the others could go there', () => {
    const world = new World(3);
    world.deafSinceMs = world.nowMs;
    world.pass(62_000, (nodeId) => nodeId !== 'n-0');
    expect([...world.lostMs.keys()]).to.deep.equal(['n-0']);
  });

  it('waits for nobody where replicas only started one after the other', () => {
    const world = new World(3);
    world.pass(15_000, () => false, false);
    world.pass(47_000, (nodeId) => nodeId !== 'n-0');
    expect([...world.lostMs.keys()]).to.deep.equal(['n-0']);
  });

  it('waits one further lost-period, once, when more than half of ten nodes fall silent', () => {
    const world = new World(12);
    world.pass(60_000, () => true);
    const cutMs = world.nowMs;
    world.pass(105_000, () => false);
    expect(world.lostMs.size).to.equal(0);
    expect(world.graces).to.have.length(1);
    // The last one was heard in the second of the cut: its own minute, one more, and what writing may take.
    world.pass(17_000, () => false);
    expect(world.lostMs.size).to.equal(12);
    expect(Math.min(...world.lostMs.values()) - cutMs).to.be.at.most(2 * PERIOD_MS + 2_000);
    world.pass(3 * PERIOD_MS, () => false);
    expect(world.graces).to.have.length(1);
  });

  it('waits anew for another silence, when the fleet was back in between', () => {
    const world = new World(12);
    world.pass(90_000, () => false);
    world.pass(60_000, () => true);
    expect(world.lostMs.size).to.equal(0);
    world.pass(90_000, () => false);
    expect(world.lostMs.size).to.equal(0);
    expect(world.graces).to.have.length(2);
  });

  it('waits no longer for nine nodes of ten, nor for half of twenty', () => {
    for (const [nodes, gone] of [
      [10, 9],
      [20, 10],
    ] as const) {
      const world = new World(nodes);
      world.pass(60_000, () => true);
      world.pass(62_000, (nodeId) => Number(nodeId.slice(2)) >= gone);
      expect(world.lostMs.size, `${gone} of ${nodes}`).to.equal(gone);
      expect(world.graces).to.deep.equal([]);
    }
  });

  it('is not put off for ever by a clock that was ahead and went back', () => {
    const world = new World(3);
    world.grace = { untilMs: world.nowMs + 3_600_000, observedMs: world.nowMs, isDamped: true };
    world.pass(2 * PERIOD_MS + 2_000, (nodeId) => nodeId !== 'n-0');
    expect([...world.lostMs.keys()]).to.deep.equal(['n-0']);
    const later = { untilMs: 0, observedMs: world.nowMs + 300_000, isDamped: false };
    const silence = {
      nowMs: world.nowMs,
      silent: [],
      lostLately: 0,
      liveBefore: 3,
      heardMs: world.nowMs,
      deafMs: 0,
    };
    expect(judgeSilence(later, silence, TERMS)).to.deep.include({ isSetBack: true });
    // A grace that was over is over, and of one that was not the rest is left.
    for (const [leftMs, expectedMs] of [
      [-10_000, 0],
      [10_000, 10_000],
    ] as const) {
      const { grace } = judgeSilence(
        { ...later, untilMs: later.observedMs + leftMs },
        silence,
        TERMS,
      );
      expect(grace.untilMs - world.nowMs).to.equal(expectedMs);
    }
  });

  const story = fc.record({
    nodes: fc.integer({ min: 1, max: 30 }),
    phases: fc.array(
      fc.record({
        seconds: fc.integer({ min: 1, max: 150 }),
        /** Every so many-th node is silent; 1 for all. */
        silentEvery: fc.integer({ min: 1, max: 8 }),
        isSilent: fc.boolean(),
        observes: fc.boolean(),
      }),
      { maxLength: 8 },
    ),
  });

  it('never comes in a grace or within a lost-period, whatever happened', () => {
    fc.assert(
      fc.property(story, ({ nodes, phases }) => {
        const world = new World(nodes);
        for (const { seconds, silentEvery, isSilent, observes } of phases) {
          const before = new Map(world.lastBeatMs);
          world.pass(
            seconds * 1_000,
            (nodeId) => !isSilent || Number(nodeId.slice(2)) % silentEvery !== 0,
            observes,
          );
          for (const [nodeId, lostMs] of world.lostMs) {
            const lastMs = world.lastBeatMs.get(nodeId) ?? before.get(nodeId) ?? 0;
            expect(lostMs - lastMs).to.be.at.least(PERIOD_MS);
            for (const { fromMs, untilMs } of world.graces) {
              expect(lostMs >= fromMs && lostMs < untilMs).to.equal(false);
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('comes to every node that stays away, however the fleet fell silent before', () => {
    fc.assert(
      fc.property(story, ({ nodes, phases }) => {
        const world = new World(nodes);
        for (const { seconds, silentEvery, isSilent, observes } of phases) {
          world.pass(
            seconds * 1_000,
            (nodeId) => !isSilent || Number(nodeId.slice(2)) % silentEvery !== 0,
            observes,
          );
        }
        world.pass(LONGEST_SILENCE_MS, () => false);
        expect(world.lostMs.size).to.equal(nodes);
      }),
      { numRuns: 60 },
    );
  });

  it('is put off by silence only where enough nodes share it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(40), (nodes, gone) => {
        const world = new World(nodes);
        world.pass(60_000, () => true);
        world.pass(62_000, (nodeId) => Number(nodeId.slice(2)) >= gone);
        const silent = Math.min(gone, nodes);
        const isDamped = silent >= LEAST_NODES_TO_DAMP && silent > nodes / 2;
        expect(world.graces.length > 0).to.equal(isDamped);
        expect(world.lostMs.size).to.equal(isDamped ? 0 : silent);
      }),
      { numRuns: 60 },
    );
  });
});
