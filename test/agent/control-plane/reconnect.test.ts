import { expect } from 'chai';
import fc from 'fast-check';

import { RefusalReason } from '#gen/gapjunction/node/v1/heartbeat_pb';

import { judgeEnd } from '../../../agent/control-plane/link-end.ts';
import {
  accepted,
  firstAttempt,
  lost,
  waited,
  type LinkState,
} from '../../../agent/control-plane/reconnect.ts';
import type { SessionEnd } from '../../../agent/control-plane/session.ts';

describe('connecting again', () => {
  const loss = { now: 1_000, addressCount: 3, leaseHeld: false, random: () => 0.999 };

  it('goes to another address at once after a loss, so that a lease survives a dead replica', () => {
    const state = lost(accepted(firstAttempt(0)), loss);
    expect(state).to.include({ kind: 'waiting', addressIndex: 1, delayMs: 0, failedAttempts: 0 });
    expect(waited(state)).to.include({ kind: 'connecting', addressIndex: 1 });
  });

  it('waits longer with each failure, and goes round the addresses', () => {
    let state: LinkState = lost(accepted(firstAttempt(0)), loss);
    const delays: number[] = [];
    const addresses: number[] = [];
    for (let failure = 0; failure < 6; failure++) {
      state = lost(waited(state), loss);
      if (state.kind !== 'waiting') throw new Error(state.kind);
      delays.push(state.delayMs);
      addresses.push(state.addressIndex);
    }
    expect(delays).to.deep.equal([999, 1998, 3996, 4995, 4995, 4995]);
    expect(addresses).to.deep.equal([2, 0, 1, 2, 0, 1]);
  });

  it('never waits above 5 s while a lease is held, nor above 60 s ever', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 200 }),
        fc.boolean(),
        fc.nat({ max: 10_000_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (failedAttempts, leaseHeld, now, random) => {
          const before: LinkState = {
            kind: 'connecting',
            addressIndex: 0,
            failedAttempts,
            sinceMs: 0,
          };
          const state = lost(before, { now, addressCount: 1, leaseHeld, random: () => random });
          if (state.kind !== 'waiting') throw new Error(state.kind);
          expect(state.delayMs).to.be.within(0, leaseHeld ? 5_000 : 60_000);
          expect(state.addressIndex).to.equal(0);
        },
      ),
    );
  });

  it('counts anew once a beat was accepted', () => {
    const failed = lost(lost(firstAttempt(0), loss), loss);
    expect(lost(accepted(waited(failed)), loss)).to.include({ failedAttempts: 0, delayMs: 0 });
  });

  const node = {
    nodeId: `n-${'b'.repeat(20)}`,
    certificate: { notBeforeMs: 0, notAfterMs: 10_000 },
    now: 5_000,
  };
  const refusal = (reason: RefusalReason): SessionEnd => ({
    kind: 'refused',
    reason,
    clockOffsetMs: -61_000,
  });
  const ends: readonly [what: string, end: SessionEnd, verdict: string][] = [
    ['a network that was cut', { kind: 'lost', cause: 'cut' }, 'connect-again'],
    ['a frame that was forged', { kind: 'forged', problem: 'MAC' }, 'connect-again'],
    ['a MAC that was refused', refusal(RefusalReason.BAD_MAC), 'connect-again'],
    ['a wrong sequence', refusal(RefusalReason.WRONG_SEQUENCE), 'connect-again'],
    ['a clock that is off', refusal(RefusalReason.CLOCK_OUT_OF_WINDOW), 'connect-again'],
    ['a reason of a later version', refusal(99 as RefusalReason), 'connect-again'],
    ['another agent of this node', refusal(RefusalReason.SUPERSEDED), 'NODE_SUPERSEDED'],
    ['another Work stream of this node', { kind: 'superseded' }, 'NODE_SUPERSEDED'],
    ['a node that was revoked', refusal(RefusalReason.NOT_ALLOWED), 'NODE_NOT_ALLOWED'],
    ['a call that was not allowed', { kind: 'not-allowed', cause: 'x' }, 'NODE_NOT_ALLOWED'],
  ];
  for (const [what, end, expected] of ends) {
    it(`${expected === 'connect-again' ? 'goes on' : `stops with ${expected}`} after ${what}`, () => {
      const verdict = judgeEnd(end, node);
      expect(verdict.kind === 'stop' ? verdict.error.reason : verdict.kind).to.equal(expected);
    });
  }

  it('tells the owner how far the clock is off', () => {
    expect(judgeEnd(refusal(RefusalReason.CLOCK_OUT_OF_WINDOW), node)).to.include({
      clockOffsetMs: -61_000,
    });
  });

  it('says expired, not revoked, of a certificate that has ended', () => {
    const verdict = judgeEnd({ kind: 'not-allowed', cause: 'x' }, { ...node, now: 10_000 });
    expect(verdict.kind === 'stop' && verdict.error.reason).to.equal('IDENTITY_EXPIRED');
  });
});
