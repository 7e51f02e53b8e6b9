import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { SettlementSchema, type Price, type Settlement } from '#gen/gapjunction/job/v1/bill_pb';
import { requireDigest, requirePresent } from './check-fields.ts';
import { chargeRule } from './ends.ts';
import { chargeMicrocents, nodeShareMicrocents } from './price.ts';
import type { CheckedReceipt } from './receipt.ts';
import { decodeStrictly } from './strict-decode.ts';
import { requirePrice, type CheckedWorkOrder } from './work-order.ts';

/** A settlement with all of its parts there. */
export type CheckedSettlement = Settlement & { readonly price: Price };

/**
 * The bytes of a settlement, to be stored with the postings and signed later as they are. Throws
 * MalformedPayload for one that `decodeSettlement` would refuse.
 */
export function encodeSettlement(
  settlement: MessageInitShape<typeof SettlementSchema>,
): Uint8Array {
  const payload = toBinary(SettlementSchema, create(SettlementSchema, settlement));
  decodeSettlement(payload);
  return payload;
}

/**
 * The settlement in these bytes, whose signature was checked before. Throws MalformedPayload, with the
 * field's name, unless every field has its form.
 */
export function decodeSettlement(payload: Uint8Array): CheckedSettlement {
  const settlement = decodeStrictly(SettlementSchema, payload);
  requireDigest(settlement.receiptDigest, 'receipt_digest');
  const price = requirePresent(settlement.price, 'price');
  requirePrice(price);
  return Object.assign(settlement, { price });
}

export interface Amounts {
  readonly chargeMicrocents: bigint;
  readonly nodeShareMicrocents: bigint;
}

/**
 * What the receipt costs under its order's price: by its usage; without fuel and output where the process
 * was lost (KILLED, SANDBOX_DIED); null where the end costs nothing and has no bill. Throws a RangeError
 * when the amount is beyond what can be booked.
 */
export function amountsOf(order: CheckedWorkOrder, receipt: CheckedReceipt): Amounts | null {
  const rule = chargeRule(receipt);
  if (rule === 'nothing') return null;
  const charge = chargeMicrocents({
    price: order.price,
    moduleBytes: order.module.sizeBytes,
    inputBytes: order.input.sizeBytes,
    outputBytes: rule === 'usage' ? receipt.output.sizeBytes : 0n,
    fuel: rule === 'usage' ? receipt.fuel : 0n,
  });
  return {
    chargeMicrocents: charge,
    nodeShareMicrocents: nodeShareMicrocents(charge, order.price.shareBasisPoints),
  };
}
