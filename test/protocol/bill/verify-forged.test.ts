import { expect } from 'chai';

import type { Bill } from '#gen/gapjunction/job/v1/bill_pb';

import { digest } from '../../../protocol/bill/digest.ts';
import { PAYLOAD_TYPE, signEnvelope } from '../../../protocol/bill/envelope.ts';
import { verifyBill, type VerifyOptions } from '../../../protocol/bill/verify.ts';
import { TestAuthority, type IssuedCertificate } from '../../fakes/authority.ts';
import { copyBill, failedChecks, makeBill, NODE_ID, type BillOptions } from '../../fakes/bill.ts';

describe('verifying a forged bill', () => {
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

  describe('refuses a bill that was changed after it was signed', () => {
    it('any flipped bit of any payload or signature', async () => {
      const bill = await goodBill();
      for (const part of ['workOrder', 'receipt', 'settlement'] as const) {
        for (const field of ['payload', 'signature', 'keyId'] as const) {
          const changed = copyBill(bill);
          const bytes = changed[part]![field];
          bytes[bytes.length >> 1]! ^= 1;
          const name = part === 'workOrder' ? 'order' : part;
          expect(await broken(changed), `${part}.${field}`).to.include(`${name}.signature`);
        }
      }
    });

    it('two receipts swapped between two bills of the same node', async () => {
      const one = await goodBill();
      const two = await goodBill({ order: { seed: digest(Buffer.from('another seed')) } });
      one.receipt = two.receipt;
      expect(await broken(one)).to.deep.equal(['receipt.task', 'settlement.receipt']);
    });

    it('a receipt put in the place of a settlement', async () => {
      const bill = await goodBill();
      bill.settlement = bill.receipt;
      bill.settlementChain = bill.receiptChain;
      expect(await broken(bill)).to.include('settlement.signer');
    });

    it('a settlement by its rightful signer, but under the type of a work order', async () => {
      const bill = await goodBill();
      const { payload } = bill.settlement!;
      bill.settlement = await signEnvelope({
        payloadType: PAYLOAD_TYPE.workOrder,
        payload,
        signer: signer.signer,
      });
      expect(await broken(bill)).to.include('settlement.signature');
    });

    it('a settlement with a field twice, rightfully signed', async () => {
      const bill = await goodBill();
      const chargeAgain = Buffer.of(0x10, 0x01);
      bill.settlement = await signEnvelope({
        payloadType: PAYLOAD_TYPE.settlement,
        payload: Buffer.concat([bill.settlement!.payload, chargeAgain]),
        signer: signer.signer,
      });
      expect(await broken(bill)).to.include('settlement.content');
    });
  });

  describe('never throws, whatever it is given', () => {
    const mutations: readonly { readonly title: string; readonly mutate: (bill: Bill) => void }[] =
      [
        { title: 'no order', mutate: (bill) => delete bill.workOrder },
        { title: 'no receipt', mutate: (bill) => delete bill.receipt },
        { title: 'no settlement', mutate: (bill) => delete bill.settlement },
        { title: 'no certificates', mutate: (bill) => (bill.settlementChain = []) },
        { title: 'an empty certificate', mutate: (bill) => (bill.receiptChain = [Buffer.of()]) },
        {
          title: 'a certificate cut off',
          mutate: (bill) => (bill.receiptChain = [bill.receiptChain[0]!.subarray(0, 200)]),
        },
        {
          title: 'a certificate with bytes behind it',
          mutate: (bill) => {
            bill.workOrderChain = [Buffer.concat([bill.workOrderChain[0]!, Buffer.of(0)])];
          },
        },
        {
          title: 'a hundred certificates',
          mutate: (bill) => {
            bill.receiptChain = Array.from({ length: 100 }, () => bill.receiptChain[0]!);
          },
        },
        {
          title: 'authorities in the wrong order',
          mutate: (bill) => {
            bill.settlementChain = bill.settlementChain.toReversed();
          },
        },
        {
          title: 'a payload too large',
          mutate: (bill) => {
            bill.receipt!.payload = new Uint8Array(16_385);
          },
        },
        {
          title: 'a type that would steer a terminal',
          mutate: (bill) => {
            bill.receipt!.payloadType = '\u{1b}[2J'.repeat(10_000);
          },
        },
      ];
    for (const { title, mutate } of mutations) {
      it(title, async () => {
        const bill = copyBill(await goodBill());
        mutate(bill);
        const report = await verifyBill(bill, { rootCertificate: authority.rootCertificate });
        expect(report.ok).to.equal(false);
        expect(JSON.stringify(report.checks)).to.not.match(/\\u001b/);
      });
    }
  });
});
