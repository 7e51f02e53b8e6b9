// From the bytes that a node handed in to what becomes of its attempt. No effects; throws what the node is
// told when it may try again.
import { digest, sameBytes } from '../../protocol/bill/digest.ts';
import { PAYLOAD_TYPE, verifyEnvelope } from '../../protocol/bill/envelope.ts';
import { decodeReceipt, type CheckedReceipt } from '../../protocol/bill/receipt.ts';
import { MalformedPayload } from '../../protocol/bill/strict-decode.ts';
import { decodeWorkOrder, type CheckedWorkOrder } from '../../protocol/bill/work-order.ts';
import type { Envelope } from '#gen/gapjunction/job/v1/bill_pb';
import { currentAttempt } from '../jobs/jobs.ts';
import { RpcError } from '../rpc/error.ts';
import type { LockedTask } from './completion-store.ts';
import type { NodeKey } from './node-keys.ts';
import { judgeReceipt, type Judgement } from './receipt-judgement.ts';

export type ReceiptVerdict =
  /** The attempt ended with this very receipt before. */
  | { readonly kind: 'again'; readonly paid: boolean }
  | (Extract<Judgement, { kind: 'fail' }> & { readonly receiptDigest: Uint8Array })
  | (Extract<Judgement, { kind: 'pay' }> & {
      readonly receiptDigest: Uint8Array;
      readonly receipt: CheckedReceipt;
      readonly order: CheckedWorkOrder;
    });

/** Throws RpcError ATTEMPT_STALE, RECEIPT_CHANGED, RECEIPT_INVALID as DispatchService.Complete documents. */
export function checkReceiptOf(
  task: LockedTask,
  envelope: Envelope,
  { key, isRevoked }: { readonly key: NodeKey; readonly isRevoked: (serial: string) => boolean },
): ReceiptVerdict {
  const receiptDigest = digest(envelope.payload);
  const again = endedBefore(task, receiptDigest);
  if (again !== null) return again;

  if (isRevoked(key.serial)) throw receiptInvalid('the key that the order names is revoked');
  if (key.expiresAtMs < task.nowMs) {
    throw receiptInvalid('the certificate of the key that the order names has expired');
  }
  const { publicKey } = key;
  const signed = verifyEnvelope(envelope, { payloadType: PAYLOAD_TYPE.receipt, publicKey });
  if (!signed.ok) throw receiptInvalid(signed.problem);
  const receipt = decode(signed.payload);
  const order = decodeWorkOrder(task.orderPayload);
  const { job } = task.record;
  const { taskId, nodeId } = task;
  const judgement = judgeReceipt({ job, nodeId, order, taskId, receipt });
  switch (judgement.kind) {
    case 'invalid':
      throw receiptInvalid(judgement.cause);
    case 'fail':
      return { ...judgement, receiptDigest };
    case 'pay':
      return { ...judgement, receiptDigest, receipt, order };
    default:
      return judgement satisfies never;
  }
}

/** Null while the attempt is the current one. */
function endedBefore(task: LockedTask, receiptDigest: Uint8Array): ReceiptVerdict | null {
  const { job } = task.record;
  const { attemptId } = task;
  if (currentAttempt(job)?.attemptId === attemptId) return null;
  const isSame = task.receiptDigest !== null && sameBytes(task.receiptDigest, receiptDigest);
  const attempt = job.attempts.find((candidate) => candidate.attemptId === attemptId);
  const paid = attempt?.state.kind === 'completed';
  if (isSame) return { kind: 'again', paid };
  if (!paid) throw attemptStale(attemptId);
  throw new RpcError(
    'ALREADY_EXISTS',
    'RECEIPT_CHANGED',
    `completing the attempt '${attemptId}': another receipt was accepted for this task`,
  );
}

function decode(payload: Uint8Array): CheckedReceipt {
  try {
    return decodeReceipt(payload);
  } catch (cause) {
    if (cause instanceof MalformedPayload) throw receiptInvalid(cause.message);
    throw cause;
  }
}

export function attemptStale(attemptId: string): RpcError {
  return new RpcError(
    'FAILED_PRECONDITION',
    'ATTEMPT_STALE',
    `completing the attempt '${attemptId}': its lease ended and the job went elsewhere; drop it`,
  );
}

export function receiptInvalid(cause: string): RpcError {
  return new RpcError('INVALID_ARGUMENT', 'RECEIPT_INVALID', `checking the receipt: ${cause}`, {
    metadata: { cause },
  });
}
