// A whole bill under a test authority, as a control plane and a node make one, every term of which a test
// can change: before it is signed, by the options; afterwards, in the bill that comes back.
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';

import {
  BillSchema,
  Entry,
  Grant,
  JobEnd,
  type Bill,
  type ReceiptSchema,
  type SettlementSchema,
  type WorkOrderSchema,
} from '#gen/gapjunction/job/v1/bill_pb';

import { digest, DIGEST_OF_NOTHING } from '../../protocol/bill/digest.ts';
import { PAYLOAD_TYPE, signEnvelope } from '../../protocol/bill/envelope.ts';
import { DEFAULT_LIMITS } from '../../protocol/bill/limits.ts';
import { DEFAULT_PRICE } from '../../protocol/bill/price.ts';
import { decodeReceipt, encodeReceipt } from '../../protocol/bill/receipt.ts';
import { amountsOf, encodeSettlement } from '../../protocol/bill/settlement.ts';
import { taskIdOf } from '../../protocol/bill/task-id.ts';
import { verifyBill, type VerifyOptions } from '../../protocol/bill/verify.ts';
import { decodeWorkOrder, encodeWorkOrder } from '../../protocol/bill/work-order.ts';
import type { IssuedCertificate, TestAuthority } from './authority.ts';

export const NODE_ID = `n-${'b'.repeat(20)}`;
export const OTHER_NODE_ID = `n-${'c'.repeat(20)}`;

export type OrderTerms = MessageInitShape<typeof WorkOrderSchema> & { $typeName?: never };
export type ReceiptTerms = MessageInitShape<typeof ReceiptSchema> & { $typeName?: never };
export type SettlementTerms = MessageInitShape<typeof SettlementSchema> & { $typeName?: never };

export interface BillOptions {
  readonly order?: Partial<OrderTerms>;
  readonly receipt?: Partial<ReceiptTerms>;
  readonly settlement?: Partial<SettlementTerms>;
  /** Default: a signer of the authority, for orders and settlements both. */
  readonly signer?: IssuedCertificate;
  readonly settlementSigner?: IssuedCertificate;
  /** Default: node NODE_ID of the authority. */
  readonly node?: IssuedCertificate;
  /** Unix milliseconds; default: now. */
  readonly settledMs?: number;
}

/** The terms of an order that nobody could object to, for the key of this node. */
export function orderTerms(nodeKeyId: Uint8Array, settledMs: number): OrderTerms {
  return {
    jobId: `j-${'d'.repeat(20)}`,
    attemptId: `a-${'e'.repeat(20)}`,
    nodeId: NODE_ID,
    nodeKeyId,
    isolationKey: digest(Buffer.from('isolation key')),
    module: { digest: digest(Buffer.from('module')), sizeBytes: 1_048_577n },
    input: { digest: digest(Buffer.from('input')), sizeBytes: 5n },
    entry: Entry.START,
    grants: [Grant.STDOUT_AS_RESULT],
    limits: DEFAULT_LIMITS,
    profile: 'gj-0',
    profileDigest: digest(Buffer.from('profile')),
    price: DEFAULT_PRICE,
    seed: digest(Buffer.from('seed')),
    notBeforeMs: BigInt(settledMs - 125_000),
    expiresMs: BigInt(settledMs + 60_000),
  };
}

/** The terms of the receipt of a job that succeeded. */
export function receiptTerms(taskId: Uint8Array, settledMs: number): ReceiptTerms {
  return {
    taskId,
    end: JobEnd.SUCCEEDED,
    fuel: 12_345_678n,
    output: { digest: digest(Buffer.from('output')), sizeBytes: 6n },
    logDigest: DIGEST_OF_NOTHING,
    peakMemoryPages: 17,
    startedMs: BigInt(settledMs - 4_000),
    finishedMs: BigInt(settledMs - 1_000),
    engine: 'v8',
    engineVersion: '14.6',
    profile: 'gj-0',
  };
}

/** A bill whose settlement follows from its order and receipt, unless the options say otherwise. */
export async function makeBill(authority: TestAuthority, options: BillOptions = {}): Promise<Bill> {
  const settledMs = options.settledMs ?? Date.now();
  const signer = options.signer ?? (await authority.signer());
  const settlementSigner = options.settlementSigner ?? signer;
  const node = options.node ?? (await authority.node(NODE_ID));

  const orderPayload = encodeWorkOrder({
    ...orderTerms(node.signer.keyId, settledMs),
    ...options.order,
  });
  const receiptPayload = encodeReceipt({
    ...receiptTerms(taskIdOf(orderPayload), settledMs),
    ...options.receipt,
  });
  const order = decodeWorkOrder(orderPayload);
  const settlementPayload = encodeSettlement({
    receiptDigest: digest(receiptPayload),
    ...amountsOf(order, decodeReceipt(receiptPayload)),
    price: order.price,
    settledMs: BigInt(settledMs),
    ...options.settlement,
  });
  return create(BillSchema, {
    workOrder: await signEnvelope({
      payloadType: PAYLOAD_TYPE.workOrder,
      payload: orderPayload,
      signer: signer.signer,
    }),
    receipt: await signEnvelope({
      payloadType: PAYLOAD_TYPE.receipt,
      payload: receiptPayload,
      signer: node.signer,
    }),
    settlement: await signEnvelope({
      payloadType: PAYLOAD_TYPE.settlement,
      payload: settlementPayload,
      signer: settlementSigner.signer,
    }),
    workOrderChain: [...signer.chain],
    receiptChain: [...node.chain],
    settlementChain: [...settlementSigner.chain],
  });
}

/** A copy that shares no bytes with the bill. */
export function copyBill(bill: Bill): Bill {
  return fromBinary(BillSchema, toBinary(BillSchema, bill));
}

/** The names of the checks that fail, each of which says why. */
export async function failedChecks(bill: Bill, options: VerifyOptions): Promise<string[]> {
  const report = await verifyBill(bill, options);
  if (report.ok !== report.checks.every(({ status }) => status === 'ok')) {
    throw new Error(`The report says ok=${report.ok}, which its checks do not`);
  }
  const failed = report.checks.filter(({ status }) => status === 'failed');
  const silent = failed.find(({ reason }) => reason === '');
  if (silent !== undefined) throw new Error(`The check ${silent.name} fails without a reason`);
  return failed.map(({ name }) => name);
}
