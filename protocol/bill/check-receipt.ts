// Whether a receipt fits its order. The control plane asks before it pays, everyone else when they verify
// the bill: the same table, so a bill that was paid never fails a rule that the payer did not have.

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { isBelowDeadlineFloor } from './deadline-floor.ts';
import { DIGEST_OF_NOTHING, digestText, sameBytes } from './digest.ts';
import { endName, endRule, KILLED } from './ends.ts';
import type { CheckedReceipt } from './receipt.ts';
import type { CheckedWorkOrder } from './work-order.ts';

const PAGE_BYTES = 65_536n;

export interface ReceiptOfOrder {
  readonly order: CheckedWorkOrder;
  /** `taskIdOf` the order's signed payload. */
  readonly taskId: Uint8Array;
  readonly receipt: CheckedReceipt;
}

export interface ReceiptRule {
  /** A stable name: it stands in reports and in errors. */
  readonly name: string;
  /** What is wrong, or null. */
  readonly problem: (given: ReceiptOfOrder) => string | null;
}

export const RECEIPT_RULES: readonly ReceiptRule[] = [
  {
    name: 'receipt.task',
    problem: ({ taskId, receipt }) =>
      sameBytes(receipt.taskId, taskId)
        ? null
        : `the receipt is for task ${digestText(receipt.taskId)}, the order is ${digestText(taskId)}`,
  },
  {
    name: 'receipt.profile',
    problem: ({ order, receipt }) =>
      receipt.profile === order.profile
        ? null
        : `the receipt was made under profile "${receipt.profile}", ordered was "${order.profile}"`,
  },
  {
    name: 'receipt.fuel',
    problem: ({ order, receipt }) =>
      receipt.fuel <= order.limits.fuel
        ? null
        : `${receipt.fuel} fuel is more than the limit of ${order.limits.fuel}`,
  },
  {
    name: 'receipt.memory',
    problem: ({ order, receipt }) => {
      const peakBytes = BigInt(receipt.peakMemoryPages) * PAGE_BYTES;
      return peakBytes <= order.limits.memoryBytes
        ? null
        : `${peakBytes} bytes of memory are more than the limit of ${order.limits.memoryBytes}`;
    },
  },
  {
    name: 'receipt.output',
    problem: ({ order, receipt: { output, end } }) => {
      if (output.sizeBytes > order.limits.outputBytes) {
        return `an output of ${output.sizeBytes} bytes is more than the limit of ${order.limits.outputBytes}`;
      }
      if (output.sizeBytes > 0n && !hasOutput(end)) {
        return `an output of ${output.sizeBytes} bytes cannot come from a job that ended ${endName(end)}`;
      }
      // Nothing has exactly one digest, and that digest is of nothing else.
      return (output.sizeBytes === 0n) === sameBytes(output.digest, DIGEST_OF_NOTHING)
        ? null
        : `an output of ${output.sizeBytes} bytes does not have the digest ${digestText(output.digest)}`;
    },
  },
  {
    name: 'receipt.end-detail',
    problem: ({ receipt: { end, endDetail } }) => {
      if (end === JobEnd.TRAPPED && endDetail === '') return 'TRAPPED does not say which trap';
      if (endRule(end).stop && endDetail !== '' && endDetail !== KILLED) {
        return `${endName(end)} has the detail "${endDetail}"; only ${KILLED} or none is known`;
      }
      return null;
    },
  },
  {
    name: 'receipt.stop-state',
    problem: ({ receipt }) => {
      const expected = endRule(receipt.end).stop && receipt.endDetail !== KILLED;
      const given = receipt.stopStateDigest.length > 0;
      if (expected === given) return null;
      return expected
        ? `${endName(receipt.end)} does not say what the memories were`
        : `${endName(receipt.end)} ${receipt.endDetail} has a stop state digest`;
    },
  },
  {
    name: 'receipt.deadline-floor',
    problem: ({ order, receipt }) => {
      if (receipt.end !== JobEnd.DEADLINE_EXCEEDED || receipt.endDetail === KILLED) return null;
      const stop = {
        deadlineEpochs: order.limits.deadlineEpochs,
        sleptNs: receipt.sleptNs,
        fuel: receipt.fuel,
      };
      return isBelowDeadlineFloor(stop)
        ? `${receipt.fuel} fuel until the deadline is so slow that it is the node's fault`
        : null;
    },
  },
  {
    name: 'receipt.times',
    problem: ({ receipt }) =>
      receipt.startedMs <= receipt.finishedMs
        ? null
        : `it finished at ${receipt.finishedMs} ms, before it started at ${receipt.startedMs} ms`,
  },
];

export interface ReceiptProblem {
  readonly rule: string;
  readonly problem: string;
}

/** Every rule that the receipt breaks; empty when it fits. Signatures were checked before. */
export function checkReceipt(given: ReceiptOfOrder): readonly ReceiptProblem[] {
  return RECEIPT_RULES.flatMap(({ name, problem }) => {
    const found = problem(given);
    return found === null ? [] : [{ rule: name, problem: found }];
  });
}

/** A guest that was stopped, that trapped or never ran gave no result. */
function hasOutput(end: JobEnd): boolean {
  return end === JobEnd.SUCCEEDED || end === JobEnd.GUEST_FAILED;
}
