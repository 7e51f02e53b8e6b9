import { expect } from 'chai';

import { JobEnd, type Bill } from '#gen/gapjunction/job/v1/bill_pb';

import { digest, DIGEST_OF_NOTHING } from '../../../protocol/bill/digest.ts';
import { DEFAULT_LIMITS } from '../../../protocol/bill/limits.ts';
import type { ReplayOutcome } from '../../../protocol/bill/replay.ts';
import { verifyBill, type VerifyOptions } from '../../../protocol/bill/verify.ts';
import { TestAuthority, type IssuedCertificate } from '../../fakes/authority.ts';
import { failedChecks, makeBill, NODE_ID, type BillOptions } from '../../fakes/bill.ts';

describe('replaying a bill', () => {
  let authority: TestAuthority;
  let signer: IssuedCertificate;
  let node: IssuedCertificate;

  before(async () => {
    authority = await TestAuthority.create();
    signer = await authority.signer();
    node = await authority.node(NODE_ID);
  });

  const goodBill = (options: BillOptions = {}): Promise<Bill> =>
    makeBill(authority, { signer, node, ...options });
  const broken = (bill: Bill, options: Partial<VerifyOptions> = {}): Promise<string[]> =>
    failedChecks(bill, { rootCertificate: authority.rootCertificate, ...options });

  const same: ReplayOutcome = {
    end: JobEnd.SUCCEEDED,
    endDetail: '',
    fuel: 12_345_678n,
    outputDigest: digest(Buffer.from('output')),
    outputBytes: 6n,
    sleptNs: 0n,
    stopStateDigest: null,
  };

  it('the same end, fuel and output confirm it, on the fuel limit of the order', async () => {
    const budgets: bigint[] = [];
    const replay = ({ budgetFuel }: { budgetFuel: bigint }): Promise<ReplayOutcome> => {
      budgets.push(budgetFuel);
      return Promise.resolve(same);
    };
    expect(await broken(await goodBill(), { replay })).to.deep.equal([]);
    expect(budgets).to.deep.equal([DEFAULT_LIMITS.fuel]);
  });

  const differences: readonly Partial<ReplayOutcome>[] = [
    { end: JobEnd.GUEST_FAILED },
    { endDetail: 'EXIT_CODE_1' },
    { fuel: 12_345_679n },
    { outputDigest: digest(Buffer.from('outpux')) },
    { outputBytes: 7n },
    { sleptNs: 1n },
  ];
  for (const difference of differences) {
    it(`another ${Object.keys(difference).join()} refutes it`, async () => {
      const replay = (): Promise<ReplayOutcome> => Promise.resolve({ ...same, ...difference });
      expect(await broken(await goodBill(), { replay })).to.deep.equal(['replay']);
    });
  }

  it('a replay that fails refutes it, with its reason', async () => {
    const report = await verifyBill(await goodBill(), {
      rootCertificate: authority.rootCertificate,
      replay: () => Promise.reject(new Error('the module given is another')),
    });
    expect(report.checks.at(-1)).to.deep.equal({
      name: 'replay',
      status: 'failed',
      reason: 'the module given is another',
    });
  });

  const stopState = digest(Buffer.from('memories'));
  const stop = (terms: BillOptions['receipt'] = {}): BillOptions => ({
    receipt: {
      end: JobEnd.DEADLINE_EXCEEDED,
      fuel: 700_000_000n,
      output: { digest: DIGEST_OF_NOTHING, sizeBytes: 0n },
      stopStateDigest: stopState,
      ...terms,
    },
  });
  const outOfFuel: ReplayOutcome = {
    ...same,
    end: JobEnd.OUT_OF_FUEL,
    fuel: 700_000_000n,
    outputDigest: DIGEST_OF_NOTHING,
    outputBytes: 0n,
    stopStateDigest: stopState,
  };

  it('a stop runs out of exactly its own fuel, with the same memories', async () => {
    const budgets: bigint[] = [];
    const replay = ({ budgetFuel }: { budgetFuel: bigint }): Promise<ReplayOutcome> => {
      budgets.push(budgetFuel);
      return Promise.resolve({ ...outOfFuel, fuel: budgetFuel });
    };
    for (const end of [JobEnd.DEADLINE_EXCEEDED, JobEnd.CANCELLED]) {
      expect(await broken(await goodBill(stop({ end })), { replay })).to.deep.equal([]);
    }
    expect(budgets).to.deep.equal([700_000_000n, 700_000_000n]);
  });

  it('a stop with other memories, or that ends by itself, is refuted', async () => {
    const bill = await goodBill(stop());
    for (const outcome of [
      { ...outOfFuel, stopStateDigest: digest(Buffer.from('others')) },
      { ...outOfFuel, stopStateDigest: null },
      { ...outOfFuel, end: JobEnd.SUCCEEDED },
      { ...outOfFuel, sleptNs: 1n },
    ]) {
      const replay = (): Promise<ReplayOutcome> => Promise.resolve(outcome);
      expect(await broken(bill, { replay })).to.deep.equal(['replay']);
    }
  });

  it('a deadline on a node that is too slow is refused', async () => {
    const slow = await goodBill(stop({ fuel: 599_999_999n }));
    expect(await broken(slow)).to.deep.equal(['receipt.deadline-floor']);
    const cancelled = await goodBill(stop({ fuel: 1n, end: JobEnd.CANCELLED }));
    expect(await broken(cancelled)).to.deep.equal([]);
  });

  for (const [end, endDetail] of [
    [JobEnd.DEADLINE_EXCEEDED, 'KILLED'],
    [JobEnd.CANCELLED, 'KILLED'],
    [JobEnd.TRAPPED, 'SANDBOX_DIED'],
  ] as const) {
    it(`${endDetail} cannot be replayed, is reported so, and costs neither fuel nor output`, async () => {
      const bill = await goodBill(stop({ end, endDetail, stopStateDigest: Buffer.of() }));
      const rootCertificate = authority.rootCertificate;
      const plain = await verifyBill(bill, { rootCertificate });
      expect(plain.ok).to.equal(true);
      expect(plain.settlement?.chargeMicrocents).to.equal(100n + 2_001n + 1n);

      const replay = (): Promise<ReplayOutcome> => expect.fail('it was replayed');
      const replayed = await verifyBill(bill, { rootCertificate, replay });
      expect(replayed.ok).to.equal(false);
      expect(replayed.checks.at(-1)).to.include({ name: 'replay', status: 'not-replayable' });
    });
  }
});
