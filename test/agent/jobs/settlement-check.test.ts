import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect } from 'chai';

import { JobEnd, type Bill } from '#gen/gapjunction/job/v1/bill_pb';
import { CompleteResponseSchema } from '#gen/gapjunction/node/v1/dispatch_pb';

import { checkSettlement, type SettlementVerdict } from '../../../agent/jobs/settlement-check.ts';
import { Signers } from '../../../agent/jobs/signers.ts';
import { DIGEST_OF_NOTHING } from '../../../protocol/bill/digest.ts';
import { DEFAULT_PRICE } from '../../../protocol/bill/price.ts';
import { verifyBill } from '../../../protocol/bill/verify.ts';
import { CLIENT_AUTH_EKU_OID } from '../../../protocol/identity/certificate.ts';
import { TestAuthority } from '../../fakes/authority.ts';
import { makeBill, NODE_ID, type BillOptions } from '../../fakes/bill.ts';

const HOUR_MS = 3_600_000;

describe('a settlement that the control plane answered', () => {
  let authority: TestAuthority;
  let stranger: TestAuthority;
  before(async () => {
    authority = await TestAuthority.create();
    stranger = await TestAuthority.create();
  });

  /** What an agent that saw no order of this signer says of the bill's settlement. */
  function verdictOn(
    { settlement, settlementChain, ...bill }: Bill,
    changes: MessageInitShape<typeof CompleteResponseSchema> = {},
  ): SettlementVerdict {
    const { receipt } = bill;
    if (receipt === undefined) throw new Error('The test bill has no receipt');
    return checkSettlement(
      create(CompleteResponseSchema, {
        ...(settlement !== undefined && { settlement }),
        settlementChain,
        ...changes,
      }),
      {
        taskId: new Uint8Array(32),
        attemptId: 'a',
        jobId: 'j',
        requestId: 'r',
        end: JobEnd.SUCCEEDED,
        endDetail: '',
        output: new Uint8Array(),
        bill: { ...bill, receipt },
      },
      new Signers({ root: authority.rootCertificate, trustDomain: authority.trustDomain }),
    );
  }

  async function expectBill(options: BillOptions): Promise<void> {
    const verdict = verdictOn(await makeBill(authority, options));
    if (!verdict.ok) throw new Error(`It was refused: ${verdict.problem}`);
    const report = await verifyBill(verdict.bill, { rootCertificate: authority.rootCertificate });
    expect(report.checks.filter(({ status }) => status !== 'ok')).to.deep.equal([]);
  }

  it("gives the node a bill that verifies, when the order's signer signed it", () =>
    expectBill({}));

  it("gives the node a bill that verifies, when the order's signer was replaced before", async () =>
    expectBill({ settlementSigner: await authority.signer() }));

  it('gives the node a bill that verifies, when its signer ended before the node asked again', async () => {
    const now = Date.now();
    const settlementSigner = await authority.signer({ notAfter: new Date(now - HOUR_MS) });
    await expectBill({ settlementSigner, settledMs: now - 2 * HOUR_MS });
  });

  const hostile: Readonly<
    Record<string, readonly [problem: RegExp, verdict: () => Promise<SettlementVerdict>]>
  > = {
    'without a chain': [
      /no certificate/,
      async () => verdictOn(await makeBill(authority), { settlementChain: [] }),
    ],
    'with a chain of garbage': [
      /./,
      async () =>
        verdictOn(await makeBill(authority), { settlementChain: [Buffer.from('garbage')] }),
    ],
    'under another authority': [
      /./,
      async () =>
        verdictOn(await makeBill(authority, { settlementSigner: await stranger.signer() })),
    ],
    'by a node': [
      /signed by a node/,
      async () =>
        verdictOn(await makeBill(authority, { settlementSigner: await authority.node(NODE_ID) })),
    ],
    'by a signer without the usage for signing': [
      /extended key usage/,
      async () => {
        const settlementSigner = await authority.signer({
          extendedKeyUsages: [CLIENT_AUTH_EKU_OID],
        });
        return verdictOn(await makeBill(authority, { settlementSigner }));
      },
    ],
    'by a signer that had ended by then': [
      /./,
      async () => {
        const settlementSigner = await authority.signer({
          notAfter: new Date(Date.now() - HOUR_MS),
        });
        return verdictOn(await makeBill(authority, { settlementSigner }));
      },
    ],
    'with the chain of another signer': [
      /key/,
      async () => {
        const settlementChain = [...(await authority.signer()).chain];
        return verdictOn(await makeBill(authority), { settlementChain });
      },
    ],
    'for another receipt': [
      /another receipt/,
      async () =>
        verdictOn(await makeBill(authority, { settlement: { receiptDigest: DIGEST_OF_NOTHING } })),
    ],
    'from before the order': [
      /before the order/,
      async () =>
        verdictOn(
          await makeBill(authority, { settlement: { settledMs: BigInt(Date.now() - HOUR_MS) } }),
        ),
    ],
    'at another price': [
      /price/,
      async () =>
        verdictOn(
          await makeBill(authority, {
            settlement: { price: { ...DEFAULT_PRICE, shareBasisPoints: 1 } },
          }),
        ),
    ],
    'that pays less': [
      /it pays 1 microcents/,
      async () => verdictOn(await makeBill(authority, { settlement: { nodeShareMicrocents: 1n } })),
    ],
  };
  for (const [what, [problem, verdict]] of Object.entries(hostile)) {
    it(`${what} gives no bill`, async () => {
      const judged = await verdict();
      expect(judged.ok ? 'a bill' : judged.problem).to.match(problem);
      expect(judged.ok).to.equal(false);
    });
  }
});
