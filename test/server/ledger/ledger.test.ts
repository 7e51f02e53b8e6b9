import { expect } from 'chai';
import fc from 'fast-check';
import {
  type LedgerEvent,
  MAX_MOVED_MICROCENTS,
  postingsOf,
  transactionKey,
} from '../../../server/ledger/ledger.ts';

const amount = fc.bigInt({ min: 0n, max: MAX_MOVED_MICROCENTS });
const clientId = fc.constant('c-a');
const jobId = fc.constant('j-a');

/** An event with amounts that a job can have: share <= charge <= hold. */
const event: fc.Arbitrary<LedgerEvent> = fc.oneof(
  fc.record({
    kind: fc.constant('credit' as const),
    clientId,
    operatorId: fc.constant('o-a'),
    requestId: fc.string(),
    microcents: amount,
  }),
  fc.record({ kind: fc.constant('hold' as const), clientId, jobId, microcents: amount }),
  fc.record({ kind: fc.constant('release' as const), clientId, jobId, heldMicrocents: amount }),
  fc.tuple(amount, amount, amount).map((amounts) => {
    const [share, charge, held] = amounts.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    return {
      kind: 'settle' as const,
      clientId: 'c-a',
      jobId: 'j-a',
      nodeId: 'n-a',
      heldMicrocents: held ?? 0n,
      chargeMicrocents: charge ?? 0n,
      nodeShareMicrocents: share ?? 0n,
    };
  }),
);

describe('the postings of an event', () => {
  it('sum to zero, so that no money appears or vanishes', () => {
    fc.assert(
      fc.property(event, (some) => {
        expect(postingsOf(some).reduce((sum, { microcents }) => sum + microcents, 0n)).to.equal(0n);
      }),
    );
  });

  it('give node and platform exactly the charge, and the client the rest of its hold', () => {
    const postings = postingsOf({
      kind: 'settle',
      clientId: 'c-a',
      jobId: 'j-a',
      nodeId: 'n-a',
      heldMicrocents: 1000n,
      chargeMicrocents: 301n,
      nodeShareMicrocents: 240n,
    });
    expect(postings).to.deep.equal([
      { account: 'client_held', holderId: 'c-a', microcents: -1000n },
      { account: 'client_available', holderId: 'c-a', microcents: 699n },
      { account: 'node_pending', holderId: 'n-a', microcents: 240n },
      { account: 'platform_revenue', holderId: '', microcents: 61n },
    ]);
  });

  const settle = { kind: 'settle', clientId: 'c-a', jobId: 'j-a', nodeId: 'n-a' } as const;
  for (const [what, wrong] of [
    ['a hold below zero', { kind: 'hold', clientId: 'c-a', jobId: 'j-a', microcents: -1n }],
    [
      'a credit above the bound',
      {
        kind: 'credit',
        clientId: 'c-a',
        operatorId: 'o-a',
        requestId: 'r',
        microcents: MAX_MOVED_MICROCENTS + 1n,
      },
    ],
    [
      'a charge above its hold',
      { ...settle, heldMicrocents: 10n, chargeMicrocents: 11n, nodeShareMicrocents: 0n },
    ],
    [
      'a node share above the charge',
      { ...settle, heldMicrocents: 10n, chargeMicrocents: 5n, nodeShareMicrocents: 6n },
    ],
    [
      'a node share below zero, which would take from the node',
      { ...settle, heldMicrocents: 10n, chargeMicrocents: 5n, nodeShareMicrocents: -1n },
    ],
  ] satisfies [string, LedgerEvent][]) {
    it(`refuse ${what}`, () => {
      expect(() => postingsOf(wrong)).to.throw(RangeError, 'has to be between');
    });
  }

  it('are keyed by job, so that a job is held, settled and released once', () => {
    expect(transactionKey({ kind: 'settle', jobId: 'j-a' })).to.equal('settle:j-a');
    expect(transactionKey({ kind: 'credit', operatorId: 'o-a', requestId: 'r' })).to.equal(
      'credit:o-a:r',
    );
  });
});
