// Long, since it is two tables: who may sign, and what must follow.
import { expect } from 'chai';

import { JobEnd, type Bill, type Price } from '#gen/gapjunction/job/v1/bill_pb';

import { digest, DIGEST_OF_NOTHING } from '../../../protocol/bill/digest.ts';
import { DEFAULT_LIMITS } from '../../../protocol/bill/limits.ts';
import { DEFAULT_PRICE } from '../../../protocol/bill/price.ts';
import { verifyBill, type VerifyOptions } from '../../../protocol/bill/verify.ts';
import { SIGNING_EKU_OID } from '../../../protocol/identity/certificate.ts';
import { spiffeUri } from '../../../protocol/identity/spiffe.ts';
import { TestAuthority, type IssuedCertificate } from '../../fakes/authority.ts';
import {
  failedChecks,
  makeBill,
  NODE_ID,
  OTHER_NODE_ID,
  type BillOptions,
} from '../../fakes/bill.ts';

const DAY_MS = 86_400_000;
const MAX_UINT64 = 2n ** 64n - 1n;

describe('verifying a bill', () => {
  let authority: TestAuthority;
  let foreign: TestAuthority;
  let signer: IssuedCertificate;
  let node: IssuedCertificate;

  before(async () => {
    authority = await TestAuthority.create();
    foreign = await TestAuthority.create();
    signer = await authority.signer();
    node = await authority.node(NODE_ID);
  });

  const goodBill = (options: BillOptions = {}): Promise<Bill> =>
    makeBill(authority, { signer, node, ...options });

  const broken = (bill: Bill, options: Partial<VerifyOptions> = {}): Promise<string[]> =>
    failedChecks(bill, { rootCertificate: authority.rootCertificate, ...options });

  it('accepts a bill in which everything follows from the order', async () => {
    const report = await verifyBill(await goodBill(), {
      rootCertificate: authority.rootCertificate,
      trustDomain: authority.trustDomain,
      profileDigests: new Map([['gj-0', digest(Buffer.from('profile'))]]),
    });
    expect(report.checks.filter(({ status }) => status !== 'ok')).to.deep.equal([]);
    expect(report.ok).to.equal(true);
    expect(report.settlement?.chargeMicrocents).to.equal(100n + 2_001n + 1n + 25n);
    expect(report.settlement?.nodeShareMicrocents).to.equal(1_701n);
  });

  it('accepts it years after its certificates have expired', async () => {
    const then = Date.UTC(2020, 5, 1);
    const old = await TestAuthority.create({
      notBefore: new Date(then - DAY_MS),
      notAfter: new Date(then + DAY_MS),
    });
    const bill = await makeBill(old, { settledMs: then });
    expect(await broken(bill, { rootCertificate: old.rootCertificate })).to.deep.equal([]);
  });

  describe('refuses a bill that was signed by who may not', () => {
    const cases: readonly {
      readonly title: string;
      readonly make: () => Promise<Bill>;
      readonly options?: Partial<VerifyOptions>;
      readonly broken: readonly string[];
    }[] = [
      {
        title: 'an order and settlement signed by an operator',
        make: async () =>
          goodBill({
            signer: await authority.operator(`o-${'a'.repeat(20)}`, {
              extendedKeyUsages: [SIGNING_EKU_OID],
            }),
          }),
        broken: ['settlement.signer', 'order.signer', 'receipt.signer'],
      },
      {
        title: 'a settlement signed by the node itself',
        make: () => goodBill({ settlementSigner: node }),
        broken: ['settlement.signer'],
      },
      {
        title: 'a settlement signed by the node under a certificate with the usage for signing',
        make: async () =>
          goodBill({
            settlementSigner: await authority.node(NODE_ID, {
              extendedKeyUsages: [SIGNING_EKU_OID],
            }),
          }),
        broken: ['settlement.signer'],
      },
      {
        title: 'a signer without the extended key usage',
        make: async () =>
          goodBill({ settlementSigner: await authority.signer({ extendedKeyUsages: [] }) }),
        broken: ['settlement.signer'],
      },
      {
        title: 'a signer with two names',
        make: async () =>
          goodBill({
            settlementSigner: await authority.signer({
              uris: [
                spiffeUri(authority.trustDomain, { role: 'signer' }),
                spiffeUri(authority.trustDomain, { role: 'node', id: NODE_ID }),
              ],
            }),
          }),
        broken: ['settlement.signer'],
      },
      {
        title: 'a signer of another trust domain',
        make: async () =>
          goodBill({
            settlementSigner: await authority.signer({
              uris: [spiffeUri('other.gap-junction', { role: 'signer' })],
            }),
          }),
        broken: ['trust-domain'],
      },
      {
        title: 'everything in another trust domain than the expected one',
        make: () => goodBill(),
        options: { trustDomain: 'other.gap-junction' },
        broken: ['trust-domain'],
      },
      {
        title: 'a receipt of another node',
        make: async () => goodBill({ node: await authority.node(OTHER_NODE_ID) }),
        broken: ['receipt.signer'],
      },
      {
        title: 'a receipt under another key of the right node',
        make: async () => {
          const bill = await goodBill({ order: { nodeKeyId: digest(Buffer.from('old key')) } });
          return bill;
        },
        broken: ['receipt.signer'],
      },
      {
        title: 'a receipt signed by the control plane',
        make: () => goodBill({ node: signer }),
        broken: ['receipt.signer'],
      },
      {
        title: 'a foreign root',
        make: () => makeBill(foreign),
        broken: ['settlement.chain', 'order.chain', 'receipt.chain'],
      },
      {
        title: 'a self-signed certificate with a stolen name',
        make: async () =>
          goodBill({ settlementSigner: await authority.signer({ selfSigned: true }) }),
        broken: ['settlement.chain'],
      },
      {
        title: 'a signer that had expired at the settlement',
        make: async () => {
          const notAfter = new Date(Date.now() - 60_000);
          return goodBill({ settlementSigner: await authority.signer({ notAfter }) });
        },
        broken: ['settlement.chain'],
      },
      {
        title: 'a node that was not yet certified at the settlement',
        make: async () => {
          const notBefore = new Date(Date.now() + 60_000);
          return goodBill({ node: await authority.node(NODE_ID, { notBefore }) });
        },
        broken: ['receipt.chain'],
      },
      {
        title: 'a settlement dated before its order was valid',
        make: async () => goodBill({ settlement: { settledMs: BigInt(Date.now() - DAY_MS / 2) } }),
        broken: ['settlement.time'],
      },
      {
        title: 'a settlement at the end of time',
        make: () => goodBill({ settlement: { settledMs: MAX_UINT64 } }),
        broken: ['settlement.chain', 'order.chain', 'receipt.chain'],
      },
    ];
    for (const { title, make, options, broken: expected } of cases) {
      it(title, async () => {
        expect(await broken(await make(), options)).to.deep.equal(expected);
      });
    }
  });

  describe('refuses a bill whose terms do not follow', () => {
    const cases: readonly {
      readonly title: string;
      readonly options: BillOptions;
      readonly broken: readonly string[];
    }[] = [
      {
        title: 'more fuel than the limit',
        options: { receipt: { fuel: DEFAULT_LIMITS.fuel + 1n } },
        broken: ['receipt.fuel'],
      },
      {
        title: 'more memory than the limit',
        options: { receipt: { peakMemoryPages: 4_097 } },
        broken: ['receipt.memory'],
      },
      {
        title: 'more output than the limit',
        options: {
          receipt: { output: { digest: digest(Buffer.of(1)), sizeBytes: 1_048_577n } },
        },
        broken: ['receipt.output'],
      },
      {
        title: 'no output with the digest of something',
        options: { receipt: { output: { digest: digest(Buffer.of(1)), sizeBytes: 0n } } },
        broken: ['receipt.output'],
      },
      {
        title: 'some output with the digest of nothing',
        options: { receipt: { output: { digest: DIGEST_OF_NOTHING, sizeBytes: 3n } } },
        broken: ['receipt.output'],
      },
      {
        title: 'output of a guest that ran out of fuel',
        options: { receipt: { end: JobEnd.OUT_OF_FUEL } },
        broken: ['receipt.output'],
      },
      {
        title: 'another task',
        options: { receipt: { taskId: digest(Buffer.from('another task')) } },
        broken: ['receipt.task'],
      },
      {
        title: 'another profile',
        options: { receipt: { profile: 'gj-9' } },
        broken: ['receipt.profile'],
      },
      {
        title: 'a finish before the start',
        options: { receipt: { startedMs: 2n, finishedMs: 1n } },
        broken: ['receipt.times'],
      },
      {
        title: 'a stop state digest of a guest that was not stopped',
        options: { receipt: { stopStateDigest: digest(Buffer.of(1)) } },
        broken: ['receipt.stop-state'],
      },
      {
        title: 'an end that costs nothing',
        options: {
          receipt: {
            end: JobEnd.NODE_FAULT,
            output: { digest: DIGEST_OF_NOTHING, sizeBytes: 0n },
          },
        },
        broken: ['receipt.billable', 'settlement.charge', 'settlement.node-share'],
      },
      {
        title: 'another receipt settled',
        options: { settlement: { receiptDigest: digest(Buffer.from('another receipt')) } },
        broken: ['settlement.receipt'],
      },
      {
        title: 'another price settled',
        options: { settlement: { price: { ...DEFAULT_PRICE, baseMicrocents: 101n } as Price } },
        broken: ['settlement.price'],
      },
      {
        title: 'one microcent too much charged',
        options: { settlement: { chargeMicrocents: 2_128n } },
        broken: ['settlement.charge'],
      },
      {
        title: 'one microcent too little for the node',
        options: { settlement: { nodeShareMicrocents: 1_700n } },
        broken: ['settlement.node-share'],
      },
    ];
    for (const { title, options, broken: expected } of cases) {
      it(title, async () => {
        expect(await broken(await goodBill(options))).to.deep.equal(expected);
      });
    }

    it('an amount that nobody could book', async () => {
      const price = { ...DEFAULT_PRICE, perMillionFuelMicrocents: 2n ** 63n - 1n } as Price;
      const bill = await goodBill({
        order: { price },
        receipt: { fuel: 1n },
        settlement: { chargeMicrocents: 1n, nodeShareMicrocents: 0n },
      });
      const names = await broken(bill);
      expect(names).to.deep.equal(['settlement.charge', 'settlement.node-share']);
    });

    it('a profile of another document, or of another name', async () => {
      const bill = await goodBill();
      const other = new Map([['gj-0', digest(Buffer.from('other'))]]);
      expect(await broken(bill, { profileDigests: other })).to.deep.equal(['order.profile']);
      expect(await broken(bill, { profileDigests: new Map() })).to.deep.equal(['order.profile']);
    });
  });
});
