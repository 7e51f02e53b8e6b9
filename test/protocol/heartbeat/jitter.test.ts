import { expect } from 'chai';
import fc from 'fast-check';

import {
  BASE_INTERVAL_MS,
  baseIntervalMs,
  nextIntervalMs,
  reconnectDelayMs,
} from '../../../protocol/heartbeat/jitter.ts';

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('the time between two beats', () => {
  it('stays within ten percent of its base, and reaches both ends', () => {
    fc.assert(
      fc.property(fc.integer({ min: BASE_INTERVAL_MS, max: 600_000 }), random, (baseMs, value) => {
        const intervalMs = nextIntervalMs(baseMs, () => value);
        expect(intervalMs).to.be.within(Math.floor(baseMs * 0.9), Math.ceil(baseMs * 1.1));
      }),
    );
    expect(nextIntervalMs(15_000, () => 0)).to.equal(13_500);
    expect(nextIntervalMs(15_000, () => 0.9999999)).to.equal(16_500);
  });

  it('stretches with the fleet, so that no control plane gets more beats than it takes', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 10_000_000 }),
        fc.integer({ min: 1, max: 10_000 }),
        (nodes, beatsPerSecondBudget) => {
          const baseMs = baseIntervalMs({ nodes, beatsPerSecondBudget });
          expect(baseMs).to.be.at.least(BASE_INTERVAL_MS);
          expect((nodes * 1_000) / baseMs).to.be.at.most(beatsPerSecondBudget + 1e-6);
        },
      ),
    );
  });

  it('does not exist for a fleet or budget that makes no sense', () => {
    for (const fleet of [
      { nodes: -1 },
      { nodes: Number.NaN },
      { nodes: 1, beatsPerSecondBudget: 0 },
    ]) {
      expect(() => baseIntervalMs(fleet)).to.throw(RangeError);
    }
  });
});

describe('the wait before connecting again', () => {
  const loss = { failedAttempts: 20, leaseHeld: false, sinceLossMs: 600_000 };
  const longest = (terms: Partial<typeof loss>): number =>
    reconnectDelayMs({ ...loss, ...terms }, () => 0.999999);

  it('is none the first time, then doubles from a second', () => {
    expect(longest({ failedAttempts: 0 })).to.equal(0);
    const waits = [1, 2, 3, 4, 5, 6].map((failedAttempts) => longest({ failedAttempts }));
    expect(waits).to.deep.equal([999, 1_999, 3_999, 7_999, 15_999, 31_999]);
  });

  it('is capped at 5 s while work is held or the loss is fresh, at 60 s afterwards', () => {
    expect(longest({ leaseHeld: true })).to.equal(4_999);
    expect(longest({ sinceLossMs: 119_999 })).to.equal(4_999);
    expect(longest({ sinceLossMs: 120_000 })).to.equal(59_999);
    expect(longest({ failedAttempts: 5_000 })).to.equal(59_999);
  });

  it('is spread over the whole of its range, so that a fleet does not come back in step', () => {
    fc.assert(
      fc.property(random, (value) => {
        const delayMs = reconnectDelayMs(loss, () => value);
        expect(delayMs).to.equal(Math.floor(value * 60_000));
      }),
    );
  });
});
