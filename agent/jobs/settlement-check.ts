// Whether the settlement that the control plane answered pays what the order promised for this receipt.
import { create } from '@bufbuild/protobuf';

import { BillSchema, type Bill } from '#gen/gapjunction/job/v1/bill_pb';
import type { CompleteResponse } from '#gen/gapjunction/node/v1/dispatch_pb';
import { digest, sameBytes } from '../../protocol/bill/digest.ts';
import { PAYLOAD_TYPE } from '../../protocol/bill/envelope.ts';
import { samePrice } from '../../protocol/bill/price.ts';
import { decodeReceipt } from '../../protocol/bill/receipt.ts';
import { CheckList } from '../../protocol/bill/report.ts';
import { amountsOf, decodeSettlement } from '../../protocol/bill/settlement.ts';
import type { CheckedSettlement } from '../../protocol/bill/settlement.ts';
import { MalformedPayload } from '../../protocol/bill/strict-decode.ts';
import {
  problemOfControlPlaneSigner,
  verifyDocument,
} from '../../protocol/bill/verify-document.ts';
import { decodeWorkOrder } from '../../protocol/bill/work-order.ts';
import type { SignedReceipt } from './receipt.ts';
import type { Signers } from './signers.ts';

export type SettlementVerdict =
  | { readonly ok: true; readonly bill: Bill; readonly settlement: CheckedSettlement }
  | { readonly ok: false; readonly problem: string };

/**
 * The whole bill, when the answer's chain leads from a signer of the control plane to the pinned root at the
 * settlement's time, its key signed the settlement, and that is for this receipt and follows from the order.
 * The signer may be another than the order's: it is replaced between the two now and then.
 */
export function checkSettlement(
  { settlement: envelope, settlementChain }: CompleteResponse,
  { bill }: SignedReceipt,
  signers: Signers,
): SettlementVerdict {
  const checks = new CheckList();
  const document = verifyDocument({
    name: 'settlement',
    envelope,
    chain: settlementChain,
    payloadType: PAYLOAD_TYPE.settlement,
    problemOfSigner: problemOfControlPlaneSigner,
    decode: decodeSettlement,
    checks,
  });
  if (document === null) {
    return refuse(checks.checks.find(({ status }) => status === 'failed')?.reason ?? 'it is void');
  }
  const settlement = document.content;
  const signer = signers.check(settlementChain, Number(settlement.settledMs));
  if (!signer.ok) return refuse(signer.problem);
  try {
    const problem = problemOfTerms(settlement, bill);
    if (problem !== null) return refuse(problem);
  } catch (cause) {
    if (cause instanceof MalformedPayload || cause instanceof RangeError) {
      return refuse(cause.message);
    }
    throw cause;
  }
  return {
    ok: true,
    settlement,
    bill: create(BillSchema, { ...bill, settlement: envelope, settlementChain }),
  };
}

function problemOfTerms(settlement: CheckedSettlement, bill: SignedReceipt['bill']): string | null {
  if (bill.workOrder === undefined) return 'there is no order';
  if (!sameBytes(settlement.receiptDigest, digest(bill.receipt.payload))) {
    return 'it settles another receipt';
  }
  const order = decodeWorkOrder(bill.workOrder.payload);
  if (settlement.settledMs < order.notBeforeMs) return 'it was settled before the order was valid';
  if (!samePrice(settlement.price, order.price)) return "its price is not the order's";
  const amounts = amountsOf(order, decodeReceipt(bill.receipt.payload));
  if (amounts?.chargeMicrocents !== settlement.chargeMicrocents) {
    return `it charges ${settlement.chargeMicrocents} microcents, the price makes it ${amounts?.chargeMicrocents ?? 'nothing'}`;
  }
  return amounts.nodeShareMicrocents === settlement.nodeShareMicrocents
    ? null
    : `it pays ${settlement.nodeShareMicrocents} microcents, the price makes it ${amounts.nodeShareMicrocents}`;
}

function refuse(problem: string): SettlementVerdict {
  return { ok: false, problem };
}
