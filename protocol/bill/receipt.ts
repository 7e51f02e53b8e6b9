import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { ReceiptSchema, type BlobRef, type Receipt } from '#gen/gapjunction/job/v1/bill_pb';
import { requireThat, requireDigest, requirePresent, requireText } from './check-fields.ts';
import { endName, endRule } from './ends.ts';
import { decodeStrictly } from './strict-decode.ts';

/** A receipt with all of its parts there. */
export type CheckedReceipt = Receipt & { readonly output: BlobRef };

/**
 * The bytes of a receipt, to be signed and sent as they are. Throws MalformedPayload for one that
 * `decodeReceipt` would refuse.
 */
export function encodeReceipt(receipt: MessageInitShape<typeof ReceiptSchema>): Uint8Array {
  const payload = toBinary(ReceiptSchema, create(ReceiptSchema, receipt));
  decodeReceipt(payload);
  return payload;
}

/**
 * The receipt in these bytes, whose signature was checked before. Throws MalformedPayload, with the
 * field's name, unless every field has its form. Whether it fits an order is `checkReceipt`'s question.
 */
export function decodeReceipt(payload: Uint8Array): CheckedReceipt {
  const receipt = decodeStrictly(ReceiptSchema, payload);
  requireDigest(receipt.taskId, 'task_id');
  requireThat(
    endRule(receipt.end).receipt,
    'end',
    `is ${endName(receipt.end)}, which no node can say`,
  );
  requireText(receipt.endDetail, 'end_detail');
  const output = requirePresent(receipt.output, 'output');
  requireDigest(output.digest, 'output.digest');
  requireDigest(receipt.logDigest, 'log_digest');
  if (receipt.stopStateDigest.length > 0) {
    requireDigest(receipt.stopStateDigest, 'stop_state_digest');
  }
  requireText(receipt.engine, 'engine');
  requireText(receipt.engineVersion, 'engine_version');
  requireText(receipt.profile, 'profile');
  return Object.assign(receipt, { output });
}
