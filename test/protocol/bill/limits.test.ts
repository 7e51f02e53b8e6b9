import { expect } from 'chai';
import fc from 'fast-check';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';

import { deadlineFloorFuel, isBelowDeadlineFloor } from '../../../protocol/bill/deadline-floor.ts';
import { chargeRule, endName, endRule, replayRule } from '../../../protocol/bill/ends.ts';
import { DEFAULT_LIMITS, fillLimits, MAX_LIMITS } from '../../../protocol/bill/limits.ts';

describe('limits of a job', () => {
  it('that says nothing are the defaults, and zero says nothing', () => {
    const defaults = { ok: true, limits: DEFAULT_LIMITS };
    expect(fillLimits({})).to.deep.equal(defaults);
    const zeros = { fuel: 0n, deadlineEpochs: 0, memoryBytes: 0n, outputBytes: 0n, logBytes: 0n };
    expect(fillLimits(zeros)).to.deep.equal(defaults);
  });

  it('are kept as asked up to the cap, and refused by name above it', () => {
    expect(fillLimits(MAX_LIMITS)).to.deep.equal({ ok: true, limits: MAX_LIMITS });
    const verdict = fillLimits({
      fuel: MAX_LIMITS.fuel + 1n,
      deadlineEpochs: MAX_LIMITS.deadlineEpochs + 1,
      memoryBytes: MAX_LIMITS.memoryBytes + 1n,
      outputBytes: MAX_LIMITS.outputBytes + 1n,
      logBytes: MAX_LIMITS.logBytes + 1n,
    });
    const fields = verdict.ok ? [] : verdict.violations.map(({ field }) => field);
    const names = ['fuel', 'deadline_epochs', 'memory_bytes', 'output_bytes', 'log_bytes'];
    expect(fields).to.deep.equal(names);
  });

  it('are refused below what makes sense', () => {
    for (const asked of [{ memoryBytes: 65_535n }, { fuel: -1n }, { deadlineEpochs: -1 }]) {
      expect(fillLimits(asked).ok).to.equal(false);
    }
  });

  it('never come out above the cap, whatever is asked for', () => {
    const amount = fc.bigInt({ min: -1n, max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(amount, amount, fc.integer({ min: -1 }), (fuel, memoryBytes, deadlineEpochs) => {
        const verdict = fillLimits({ fuel, memoryBytes, deadlineEpochs });
        if (!verdict.ok) return;
        const { limits } = verdict;
        expect(limits.fuel > 0n && limits.fuel <= MAX_LIMITS.fuel).to.equal(true);
        expect(limits.memoryBytes <= MAX_LIMITS.memoryBytes).to.equal(true);
        expect(limits.deadlineEpochs).to.be.within(1, MAX_LIMITS.deadlineEpochs);
      }),
    );
  });
});

describe('the ends of a job', () => {
  const expected: Readonly<Record<string, readonly [string, string]>> = {
    SUCCEEDED: ['usage', 'same'],
    GUEST_FAILED: ['usage', 'same'],
    OUT_OF_FUEL: ['usage', 'same'],
    OUTPUT_TOO_LARGE: ['usage', 'same'],
    TRAPPED: ['usage', 'same'],
    DEADLINE_EXCEEDED: ['usage', 'stop'],
    CANCELLED: ['usage', 'stop'],
    QUEUE_TIMEOUT: ['nothing', 'none'],
    INVALID_MODULE: ['nothing', 'none'],
    NODE_FAULT: ['nothing', 'none'],
    UNSPECIFIED: ['nothing', 'none'],
  };

  it('each say what is charged and how it is replayed', () => {
    const values = Object.values(JobEnd).filter((value) => typeof value === 'number');
    const table = Object.fromEntries(
      values.map((end) => {
        const given = { end, endDetail: '' };
        return [endName(end), [chargeRule(given), replayRule(given)]];
      }),
    );
    expect(table).to.deep.equal(expected);
  });

  it('charge no usage and replay nothing where the process was lost, and only there', () => {
    for (const [end, endDetail, lost] of [
      [JobEnd.DEADLINE_EXCEEDED, 'KILLED', true],
      [JobEnd.CANCELLED, 'KILLED', true],
      [JobEnd.TRAPPED, 'SANDBOX_DIED', true],
      [JobEnd.TRAPPED, 'KILLED', false],
      [JobEnd.SUCCEEDED, 'KILLED', false],
      [JobEnd.CANCELLED, 'SANDBOX_DIED', false],
    ] as const) {
      const given = { end, endDetail };
      expect(chargeRule(given) === 'without-usage', `${endName(end)} ${endDetail}`).to.equal(lost);
      expect(replayRule(given) === 'none').to.equal(lost);
    }
  });

  it('that the contract does not know give nobody money', () => {
    expect(endRule(99).bill).to.equal(false);
    expect(endName(99)).to.equal('UNKNOWN_99');
    expect(chargeRule({ end: 99 as JobEnd, endDetail: '' })).to.equal('nothing');
  });
});

describe('the floor under a deadline', () => {
  it('is 20 million fuel for each second that the guest did not sleep', () => {
    expect(deadlineFloorFuel({ deadlineEpochs: 3_000, sleptNs: 0n })).to.equal(600_000_000n);
    expect(deadlineFloorFuel({ deadlineEpochs: 3_000, sleptNs: 15_000_000_000n })).to.equal(
      300_000_000n,
    );
    expect(deadlineFloorFuel({ deadlineEpochs: 3_000, sleptNs: 2n ** 64n })).to.equal(0n);
  });

  it('is met exactly at its own fuel', () => {
    const stop = { deadlineEpochs: 1, sleptNs: 1n };
    const fuel = deadlineFloorFuel(stop);
    expect(fuel).to.equal(200_000n);
    expect(isBelowDeadlineFloor({ ...stop, fuel })).to.equal(false);
    expect(isBelowDeadlineFloor({ ...stop, fuel: fuel - 1n })).to.equal(true);
  });
});
