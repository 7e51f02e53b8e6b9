// Whether the settlement that the control plane answered pays what the order promised for this receipt.
import { create } from '@bufbuild/protobuf';

import { BillSchema, type Bill, type Envelope } from '#gen/gapjunction/job/v1/bill_pb';
import { digest, sameBytes } from '../../protocol/bill/digest.ts';
import { PAYLOAD_TYPE, verifyEnvelope } from '../../protocol/bill/envelope.ts';
import { samePrice } from '../../protocol/bill/price.ts';
import { decodeReceipt } from '../../protocol/bill/receipt.ts';
import { amountsOf, decodeSettlement } from '../../protocol/bill/settlement.ts';
import type { CheckedSettlement } from '../../protocol/bill/settlement.ts';
import { MalformedPayload } from '../../protocol/bill/strict-decode.ts';
import { decodeWorkOrder } from '../../protocol/bill/work-order.ts';
import type { SignedReceipt } from './receipt.ts';
import type { Signers } from './signers.ts';

export type SettlementVerdict =
  | { readonly ok: true; readonly bill: Bill; readonly settlement: CheckedSettlement }
  | { readonly ok: false; readonly problem: string };

/**
 * The whole bill, when the settlement is signed by a signer whose orders this node accepts, is for this
 * receipt, and its price and amounts follow from the order. The chains were judged with the order.
 */
export function checkSettlement(
  envelope: Envelope,
  { bill }: SignedReceipt,
  signers: Signers,
  now: number,
): SettlementVerdict {
  // The answer names its signer by key id; one that also signed an order is known by its chain.
  signers.check(bill.workOrderChain, now);
  const signer = signers.find(envelope.keyId);
  if (signer === null) return refuse('it is signed by a key that signed none of our orders');
  const verdict = verifyEnvelope(envelope, {
    payloadType: PAYLOAD_TYPE.settlement,
    publicKey: signer.publicKey,
  });
  if (!verdict.ok) return refuse(verdict.problem);
  try {
    const settlement = decodeSettlement(verdict.payload);
    const problem = problemOfTerms(settlement, bill);
    if (problem !== null) return refuse(problem);
    return {
      ok: true,
      settlement,
      bill: create(BillSchema, {
        ...bill,
        settlement: envelope,
        settlementChain: [...signer.chain],
      }),
    };
  } catch (cause) {
    if (cause instanceof MalformedPayload || cause instanceof RangeError) {
      return refuse(cause.message);
    }
    throw cause;
  }
}

function problemOfTerms(settlement: CheckedSettlement, bill: SignedReceipt['bill']): string | null {
  if (bill.workOrder === undefined) return 'there is no order';
  if (!sameBytes(settlement.receiptDigest, digest(bill.receipt.payload))) {
    return 'it settles another receipt';
  }
  const order = decodeWorkOrder(bill.workOrder.payload);
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
