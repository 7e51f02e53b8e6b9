// What becomes of an attempt whose receipt arrived. Pure; the signature was checked before.
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { checkReceipt } from '../../protocol/bill/check-receipt.ts';
import { endName, SANDBOX_DIED } from '../../protocol/bill/ends.ts';
import type { CheckedReceipt } from '../../protocol/bill/receipt.ts';
import { amountsOf, type Amounts } from '../../protocol/bill/settlement.ts';
import type { CheckedWorkOrder } from '../../protocol/bill/work-order.ts';
import { NOT_ACKNOWLEDGED, nodesThatFailedWith, type End, type Job } from '../jobs/jobs.ts';

export type Judgement =
  | {
      readonly kind: 'pay';
      readonly end: End;
      readonly endDetail: string;
      readonly amounts: Amounts;
    }
  /** The attempt fails, unpaid; the job goes to another node. */
  | { readonly kind: 'fail'; readonly failure: string }
  /** The node may hand in another. */
  | { readonly kind: 'invalid'; readonly cause: string };

/** A deadline reached so slowly that it is the node's fault. */
export const TOO_SLOW = 'TOO_SLOW';

export function judgeReceipt({
  job,
  nodeId,
  order,
  taskId,
  receipt,
}: {
  readonly job: Job;
  readonly nodeId: string;
  readonly order: CheckedWorkOrder;
  readonly taskId: Uint8Array;
  readonly receipt: CheckedReceipt;
}): Judgement {
  const problems = checkReceipt({ order, taskId, receipt });
  const isTooSlow = problems.some(({ rule }) => rule === 'receipt.deadline-floor');
  const invalid = problems.find(({ rule }) => rule !== 'receipt.deadline-floor');
  if (invalid !== undefined) return { kind: 'invalid', cause: invalid.problem };
  if (isTooSlow) return { kind: 'fail', failure: TOO_SLOW };

  if (receipt.end === JobEnd.CANCELLED && job.cancelReason === null) {
    return { kind: 'invalid', cause: 'it says CANCELLED, and nobody asked for that' };
  }
  if (receipt.end === JobEnd.TRAPPED && receipt.endDetail === SANDBOX_DIED) {
    // Once may be the machine's fault; on a second node it is the guest's.
    const before = nodesThatFailedWith(job, SANDBOX_DIED);
    if (before.size === 0 || (before.size === 1 && before.has(nodeId))) {
      return { kind: 'fail', failure: SANDBOX_DIED };
    }
  }
  const end = endName(receipt.end) as End;
  const amounts = amountsOf(order, receipt);
  if (amounts === null) {
    return { kind: 'fail', failure: failureText(end, receipt.endDetail) };
  }
  return { kind: 'pay', end, endDetail: receipt.endDetail, amounts };
}

/** INVALID_MODULE as a code of its own, since two nodes have to agree on it; and a node's own words. */
function failureText(end: End, endDetail: string): string {
  if (endDetail === '') return end;
  // An order that was not acknowledged is no try of the job; a node may not say so of its own.
  const isCode = end === 'INVALID_MODULE' || endDetail === NOT_ACKNOWLEDGED;
  return isCode ? `${end}: ${endDetail}` : endDetail;
}
