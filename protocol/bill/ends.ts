// Every way in which a job can end, in one table: whether there is a bill, what is charged, and whether
// anybody can replay it.

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';

/** A stop had to kill the process: the guest was inside one host call or bulk operation for too long. */
export const KILLED = 'KILLED';

/** The sandbox process died under the job, on two nodes. */
export const SANDBOX_DIED = 'SANDBOX_DIED';

export interface EndRule {
  /** May stand in a node's receipt. */
  readonly receipt: boolean;
  /** There is a bill, and the node is paid. */
  readonly bill: boolean;
  /** A stop leaves the digest of the guest's memories, unless it had to kill. */
  readonly stop: boolean;
}

const PAID: EndRule = { receipt: true, bill: true, stop: false };
const STOP: EndRule = { receipt: true, bill: true, stop: true };
const UNPAID: EndRule = { receipt: true, bill: false, stop: false };
const WITHOUT_NODE: EndRule = { receipt: false, bill: false, stop: false };

const RULES: Readonly<Record<JobEnd, EndRule>> = {
  [JobEnd.UNSPECIFIED]: WITHOUT_NODE,
  [JobEnd.SUCCEEDED]: PAID,
  [JobEnd.GUEST_FAILED]: PAID,
  [JobEnd.OUT_OF_FUEL]: PAID,
  [JobEnd.OUTPUT_TOO_LARGE]: PAID,
  [JobEnd.TRAPPED]: PAID,
  [JobEnd.DEADLINE_EXCEEDED]: STOP,
  [JobEnd.CANCELLED]: STOP,
  [JobEnd.QUEUE_TIMEOUT]: WITHOUT_NODE,
  [JobEnd.INVALID_MODULE]: UNPAID,
  [JobEnd.NODE_FAULT]: UNPAID,
};

const NAMES: Readonly<Record<JobEnd, string>> = {
  [JobEnd.UNSPECIFIED]: 'UNSPECIFIED',
  [JobEnd.SUCCEEDED]: 'SUCCEEDED',
  [JobEnd.GUEST_FAILED]: 'GUEST_FAILED',
  [JobEnd.OUT_OF_FUEL]: 'OUT_OF_FUEL',
  [JobEnd.OUTPUT_TOO_LARGE]: 'OUTPUT_TOO_LARGE',
  [JobEnd.TRAPPED]: 'TRAPPED',
  [JobEnd.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [JobEnd.CANCELLED]: 'CANCELLED',
  [JobEnd.QUEUE_TIMEOUT]: 'QUEUE_TIMEOUT',
  [JobEnd.INVALID_MODULE]: 'INVALID_MODULE',
  [JobEnd.NODE_FAULT]: 'NODE_FAULT',
};

/** An enum of proto3 is open: a number that the contract does not know counts as UNSPECIFIED. */
export function endRule(end: number): EndRule {
  return (RULES as Readonly<Record<number, EndRule>>)[end] ?? WITHOUT_NODE;
}

/** `SUCCEEDED` and so on; `UNKNOWN_<number>` for one that the contract does not know. */
export function endName(end: number): string {
  return (NAMES as Readonly<Record<number, string>>)[end] ?? `UNKNOWN_${end}`;
}

export interface EndOfJob {
  readonly end: JobEnd;
  readonly endDetail: string;
}

/** The process under the guest was lost, so nobody knows exactly what was burnt. */
export function wasProcessLost({ end, endDetail }: EndOfJob): boolean {
  return endRule(end).stop
    ? endDetail === KILLED
    : end === JobEnd.TRAPPED && endDetail === SANDBOX_DIED;
}

/** What is charged for: all that the receipt says, no fuel and no output, or nothing at all. */
export function chargeRule(end: EndOfJob): 'usage' | 'without-usage' | 'nothing' {
  if (!endRule(end.end).bill) return 'nothing';
  return wasProcessLost(end) ? 'without-usage' : 'usage';
}

/**
 * How a replay must end to confirm the receipt: `same` (same end, fuel and output), `stop` (without
 * deadline on a budget of the receipt's fuel, OUT_OF_FUEL with the receipt's stop state digest), or
 * `none`: it cannot be replayed.
 */
export function replayRule(end: EndOfJob): 'same' | 'stop' | 'none' {
  const rule = endRule(end.end);
  if (!rule.bill || wasProcessLost(end)) return 'none';
  return rule.stop ? 'stop' : 'same';
}
