// The three documents that the vectors are about, with every field set to something that can be told
// from the others, and the signatures over them.

import { Entry, Grant, JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { digest } from '../bill/digest.ts';
import { PAYLOAD_TYPE, type PayloadType } from '../bill/envelope.ts';
import { DEFAULT_LIMITS } from '../bill/limits.ts';
import { DEFAULT_PRICE } from '../bill/price.ts';
import { decodeReceipt, encodeReceipt } from '../bill/receipt.ts';
import { amountsOf, encodeSettlement } from '../bill/settlement.ts';
import { taskIdOf } from '../bill/task-id.ts';
import { decodeWorkOrder, encodeWorkOrder } from '../bill/work-order.ts';
import { utf8 } from '../bytes.ts';

/** `count` bytes that count up from `first`. */
export function counting(count: number, first = 0): Uint8Array {
  return Uint8Array.from({ length: count }, (_, index) => (first + index) & 0xff);
}

export const VECTOR_NODE_ID = 'n-abcdefghijklmnopqrst';
export const VECTOR_CLIENT_ID = 'c-uvwxyz234567abcdefgh';

const workOrder = encodeWorkOrder({
  jobId: 'j-ijklmnopqrstuvwxyz23',
  attemptId: 'a-4567abcdefghijklmnop',
  nodeId: VECTOR_NODE_ID,
  nodeKeyId: counting(32, 0x10),
  isolationKey: counting(32, 0x30),
  module: { digest: digest(utf8('module')), sizeBytes: 1_500_000n },
  input: { digest: digest(utf8('input')), sizeBytes: 5n },
  entry: Entry.START,
  grants: [Grant.STDOUT_AS_RESULT, Grant.DEBUG_LOGS],
  limits: DEFAULT_LIMITS,
  profile: 'gj-0',
  profileDigest: counting(32, 0x50),
  price: DEFAULT_PRICE,
  seed: counting(32, 0x70),
  notBeforeMs: 1_800_000_000_000n,
  expiresMs: 1_800_000_180_000n,
});

const receipt = encodeReceipt({
  taskId: taskIdOf(workOrder),
  end: JobEnd.GUEST_FAILED,
  endDetail: 'EXIT_CODE_3',
  fuel: 123_456_789n,
  output: { digest: digest(utf8('output')), sizeBytes: 6n },
  logDigest: digest(utf8('logs')),
  sleptNs: 1_000_000n,
  peakMemoryPages: 17,
  startedMs: 1_800_000_121_000n,
  finishedMs: 1_800_000_122_000n,
  engine: 'v8',
  engineVersion: '14.6',
  profile: 'gj-0',
});

const order = decodeWorkOrder(workOrder);

const settlement = encodeSettlement({
  receiptDigest: digest(receipt),
  ...amountsOf(order, decodeReceipt(receipt)),
  price: order.price,
  settledMs: 1_800_000_123_000n,
});

export interface VectorPayload {
  readonly payloadType: PayloadType;
  readonly payload: Uint8Array;
}

export const VECTOR_PAYLOADS: readonly VectorPayload[] = [
  { payloadType: PAYLOAD_TYPE.workOrder, payload: workOrder },
  { payloadType: PAYLOAD_TYPE.receipt, payload: receipt },
  { payloadType: PAYLOAD_TYPE.settlement, payload: settlement },
];
