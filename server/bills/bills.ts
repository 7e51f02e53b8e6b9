import { create } from '@bufbuild/protobuf';
import { BillSchema, EnvelopeSchema, type Bill } from '#gen/gapjunction/job/v1/bill_pb';
import { PAYLOAD_TYPE, type PayloadType } from '../../protocol/bill/envelope.ts';
import type { Store } from '../store/store.ts';
import { readBill, type SignedParts } from './bill-store.ts';
import { splitChain } from './certificate-chains.ts';

/** The bill of a job, or null where there is none (yet). Whose job it is, the caller has checked. */
export async function findBill(store: Store, jobId: string): Promise<Bill | null> {
  const parts = await store.read((em) => readBill(em, jobId));
  if (parts === null) return null;
  return create(BillSchema, {
    workOrder: envelopeOf(PAYLOAD_TYPE.workOrder, parts.order),
    receipt: envelopeOf(PAYLOAD_TYPE.receipt, parts.receipt),
    settlement: envelopeOf(PAYLOAD_TYPE.settlement, parts.settlement),
    workOrderChain: splitChain(parts.order.certificates),
    receiptChain: splitChain(parts.receipt.certificates),
    settlementChain: splitChain(parts.settlement.certificates),
  });
}

function envelopeOf(payloadType: PayloadType, { payload, signature, keyId }: SignedParts) {
  return create(EnvelopeSchema, { payloadType, payload, signature, keyId });
}
