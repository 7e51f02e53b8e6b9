import { expect } from 'chai';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';

import { checkReceipt } from '../../../protocol/bill/check-receipt.ts';
import { digest, DIGEST_OF_NOTHING } from '../../../protocol/bill/digest.ts';
import { decodeReceipt, encodeReceipt } from '../../../protocol/bill/receipt.ts';
import { amountsOf } from '../../../protocol/bill/settlement.ts';
import { decodeWorkOrder, encodeWorkOrder } from '../../../protocol/bill/work-order.ts';
import { orderTerms, receiptTerms, type ReceiptTerms } from '../../fakes/bill.ts';

const NOW_MS = 1_800_000_000_000;
const TASK_ID = digest(Buffer.from('task'));
const order = decodeWorkOrder(encodeWorkOrder(orderTerms(TASK_ID, NOW_MS)));

const NOTHING = { digest: DIGEST_OF_NOTHING, sizeBytes: 0n };
const STATE = digest(Buffer.from('memories'));

const receiptOf = (terms: Partial<ReceiptTerms>) =>
  decodeReceipt(encodeReceipt({ ...receiptTerms(TASK_ID, NOW_MS), ...terms }));

const brokenBy = (terms: Partial<ReceiptTerms>): string[] =>
  checkReceipt({ order, taskId: TASK_ID, receipt: receiptOf(terms) }).map(({ rule }) => rule);

describe('a receipt that a control plane would pay', () => {
  const stop = { fuel: 700_000_000n, output: NOTHING, stopStateDigest: STATE };
  const lost = { fuel: 0n, output: NOTHING };
  const fitting: readonly [string, Partial<ReceiptTerms>][] = [
    ['success', {}],
    ['success at the very limits', { fuel: order.limits.fuel, peakMemoryPages: 4_096 }],
    ['failure with output', { end: JobEnd.GUEST_FAILED, endDetail: 'EXIT_CODE_1' }],
    ['no fuel left', { end: JobEnd.OUT_OF_FUEL, output: NOTHING }],
    ['output too large', { end: JobEnd.OUTPUT_TOO_LARGE, output: NOTHING }],
    ['a trap', { end: JobEnd.TRAPPED, endDetail: 'UNREACHABLE', output: NOTHING }],
    ['a lost sandbox', { end: JobEnd.TRAPPED, endDetail: 'SANDBOX_DIED', ...lost }],
    ['a deadline', { end: JobEnd.DEADLINE_EXCEEDED, ...stop }],
    [
      'a deadline slept away',
      { end: JobEnd.DEADLINE_EXCEEDED, ...stop, fuel: 1n, sleptNs: 10n ** 11n },
    ],
    [
      'a deadline that had to kill',
      { end: JobEnd.DEADLINE_EXCEEDED, endDetail: 'KILLED', ...lost },
    ],
    ['a cancel', { end: JobEnd.CANCELLED, ...stop, fuel: 1n }],
    ['a cancel that had to kill', { end: JobEnd.CANCELLED, endDetail: 'KILLED', ...lost }],
    ['the node at fault', { end: JobEnd.NODE_FAULT, endDetail: 'TOO_SLOW', output: NOTHING }],
  ];
  for (const [title, terms] of fitting) {
    it(`fits: ${title}`, () => expect(brokenBy(terms)).to.deep.equal([]));
  }
});

describe('a receipt that a control plane must not pay', () => {
  const cases: readonly [string, Partial<ReceiptTerms>, readonly string[]][] = [
    ['a trap without a name', { end: JobEnd.TRAPPED, output: NOTHING }, ['receipt.end-detail']],
    [
      'a stop with a detail that nobody knows',
      { end: JobEnd.CANCELLED, endDetail: 'FREE', output: NOTHING, stopStateDigest: STATE },
      ['receipt.end-detail'],
    ],
    [
      'a stop without its memories',
      { end: JobEnd.CANCELLED, output: NOTHING },
      ['receipt.stop-state'],
    ],
    [
      'a kill with memories',
      { end: JobEnd.CANCELLED, endDetail: 'KILLED', output: NOTHING, stopStateDigest: STATE },
      ['receipt.stop-state'],
    ],
    [
      'a deadline on a machine too slow',
      { end: JobEnd.DEADLINE_EXCEEDED, fuel: 1n, output: NOTHING, stopStateDigest: STATE },
      ['receipt.deadline-floor'],
    ],
    ['output of a trap', { end: JobEnd.TRAPPED, endDetail: 'UNREACHABLE' }, ['receipt.output']],
    [
      'everything at once',
      { fuel: 2n ** 63n, peakMemoryPages: 65_536, profile: 'gj-9', startedMs: 9n, finishedMs: 8n },
      ['receipt.profile', 'receipt.fuel', 'receipt.memory', 'receipt.times'],
    ],
  ];
  for (const [title, terms, rules] of cases) {
    it(`breaks a rule by name: ${title}`, () => expect(brokenBy(terms)).to.deep.equal(rules));
  }
});

describe('what a receipt costs', () => {
  it('follows from its usage', () => {
    expect(amountsOf(order, receiptOf({}))).to.deep.equal({
      chargeMicrocents: 2_127n,
      nodeShareMicrocents: 1_701n,
    });
  });

  it('has neither fuel nor output in it where the process was lost, whatever the node says', () => {
    const output = { digest: digest(Buffer.from('x')), sizeBytes: 1_048_576n };
    for (const [end, endDetail] of [
      [JobEnd.TRAPPED, 'SANDBOX_DIED'],
      [JobEnd.CANCELLED, 'KILLED'],
    ] as const) {
      const amounts = amountsOf(order, receiptOf({ end, endDetail, output }));
      expect(amounts?.chargeMicrocents).to.equal(100n + 2_001n + 1n);
    }
  });

  it('is nothing at all where the fault is not the guest’s', () => {
    for (const end of [JobEnd.NODE_FAULT, JobEnd.INVALID_MODULE]) {
      expect(amountsOf(order, receiptOf({ end }))).to.equal(null);
    }
  });
});
