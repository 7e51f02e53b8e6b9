import { expect } from 'chai';
import fc from 'fast-check';

import { RefusalReason } from '#gen/gapjunction/node/v1/heartbeat_pb';

import { judgeEnd } from '../../../agent/control-plane/link-end.ts';
import {
  accepted,
  firstAttempt,
  handshakeTimeoutMs,
  lost,
  waited,
  type LinkState,
} from '../../../agent/control-plane/reconnect.ts';
import type { SessionEnd } from '../../../agent/control-plane/session.ts';

describe('connecting again', () => {
  /** Linked for long enough that it worked. */
  const up = (): LinkState => accepted(firstAttempt(0), 0);
  const loss = { now: 10_000, addressCount: 3, leaseHeld: false, random: () => 0.999 };

  it('goes to another address at once after a loss, so that a lease survives a dead replica', () => {
    const state = lost(up(), loss);
    expect(state).to.include({ kind: 'waiting', addressIndex: 1, delayMs: 0, failedAttempts: 0 });
    expect(waited(state)).to.include({ kind: 'connecting', addressIndex: 1 });
  });

  function failures(count: number, terms: Parameters<typeof lost>[1]) {
    let state: LinkState = lost(up(), terms);
    const delays: number[] = [];
    const addresses: number[] = [];
    for (let failure = 0; failure < count; failure++) {
      state = lost(waited(state), terms);
      if (state.kind !== 'waiting') throw new Error(state.kind);
      delays.push(state.delayMs);
      addresses.push(state.addressIndex);
    }
    return { delays, addresses };
  }

  it('asks every address at once, and waits longer with each round that failed', () => {
    const { delays, addresses } = failures(9, loss);
    expect(delays).to.deep.equal([0, 0, 999, 0, 0, 1998, 0, 0, 3996]);
    expect(addresses).to.deep.equal([2, 0, 1, 2, 0, 1, 2, 0, 1]);
  });

  it('waits longer with each failure where there is one address', () => {
    const { delays } = failures(6, { ...loss, addressCount: 1 });
    expect(delays).to.deep.equal([999, 1998, 3996, 4995, 4995, 4995]);
  });

  it('gives a silent address 2 s while others were not asked, and more when all are slow', () => {
    const timeouts = [0, 2, 3, 6, 9, 90].map((failedAttempts) =>
      handshakeTimeoutMs({ failedAttempts }, 3),
    );
    expect(timeouts).to.deep.equal([2_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    expect(handshakeTimeoutMs({ failedAttempts: 0 }, 1)).to.equal(10_000);
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

  it('counts anew once a link has worked, and not where it ended right after its first beat', () => {
    const failed = lost(lost(firstAttempt(0), loss), loss);
    const steady = accepted(waited(failed), loss.now - 5_000);
    expect(lost(steady, loss)).to.include({ failedAttempts: 0, delayMs: 0 });
    const brief = accepted(waited(failed), loss.now - 4_999);
    expect(lost(brief, loss)).to.include({ failedAttempts: 3, delayMs: 999 });
  });

  const node = {
    nodeId: `n-${'b'.repeat(20)}`,
    certificate: { notBeforeMs: 0, notAfterMs: 10_000 },
    now: 5_000,
    wasTakenOver: false,
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
    ['another Work stream of this node, once', { kind: 'superseded' }, 'connect-again'],
    ['a replica that stops', { kind: 'leaving', cause: 'x' }, 'connect-again'],
    ['a node that was revoked', refusal(RefusalReason.NOT_ALLOWED), 'NODE_NOT_ALLOWED'],
    ['a call that was not allowed', { kind: 'not-allowed', cause: 'x' }, 'NODE_NOT_ALLOWED'],
  ];
  for (const [what, end, expected] of ends) {
    it(`${expected === 'connect-again' ? 'goes on' : `stops with ${expected}`} after ${what}`, () => {
      const verdict = judgeEnd(end, node);
      expect(verdict.kind === 'stop' ? verdict.error.reason : verdict.kind).to.equal(expected);
    });
  }

  it('stops with NODE_SUPERSEDED when its Work stream is taken again and again', () => {
    const verdict = judgeEnd({ kind: 'superseded' }, { ...node, wasTakenOver: true });
    expect(verdict.kind === 'stop' && verdict.error.reason).to.equal('NODE_SUPERSEDED');
  });

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
