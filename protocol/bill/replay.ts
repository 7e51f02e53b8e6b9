// Running a bill's job again and comparing. A job is a pure function of its module, input, limits and
// seed, so end, fuel and output must be the same on every machine. A stop came from outside; it is checked
// by running again without a deadline on a budget of exactly the receipt's fuel: the guest must run out of
// it with the very memories that the receipt's digest names.

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { digestText, sameBytes } from './digest.ts';
import { endName, replayRule } from './ends.ts';
import type { CheckedReceipt } from './receipt.ts';
import type { CheckedWorkOrder } from './work-order.ts';

export interface ReplayTask {
  readonly order: CheckedWorkOrder;
  /** The fuel to run on, in place of the order's limit. The deadline is to be left out. */
  readonly budgetFuel: bigint;
}

export interface ReplayOutcome {
  readonly end: JobEnd;
  readonly endDetail: string;
  readonly fuel: bigint;
  /** SHA-256 of the output, 32 bytes. */
  readonly outputDigest: Uint8Array;
  readonly outputBytes: bigint;
  /** What it slept, in nanoseconds. */
  readonly sleptNs: bigint;
  /** `stopStateDigest` of the memories at OUT_OF_FUEL; null at other ends. */
  readonly stopStateDigest: Uint8Array | null;
}

/** Runs the task. The module and the input are the caller's; their digests stand in the order. */
export type Replay = (task: ReplayTask) => Promise<ReplayOutcome>;

export type ReplayVerdict =
  | { readonly kind: 'same' }
  | { readonly kind: 'different'; readonly problem: string }
  | { readonly kind: 'not-replayable'; readonly reason: string };

/** Replays by the rule of the receipt's end. A replay that throws counts as different, with its message. */
export async function replayBill(
  order: CheckedWorkOrder,
  receipt: CheckedReceipt,
  replay: Replay,
): Promise<ReplayVerdict> {
  const rule = replayRule(receipt);
  if (rule === 'none') {
    const reason = `NOT_REPLAYABLE: ${endName(receipt.end)} ${receipt.endDetail}`.trimEnd();
    return { kind: 'not-replayable', reason };
  }
  let outcome: ReplayOutcome;
  try {
    const budgetFuel = rule === 'stop' ? receipt.fuel : order.limits.fuel;
    outcome = await replay({ order, budgetFuel });
  } catch (cause) {
    return different(cause instanceof Error ? cause.message : 'the replay failed');
  }
  const problem =
    rule === 'stop' ? problemOfStop(receipt, outcome) : problemOfOutcome(receipt, outcome);
  return problem === null ? { kind: 'same' } : different(problem);
}

function problemOfStop(receipt: CheckedReceipt, outcome: ReplayOutcome): string | null {
  if (outcome.end !== JobEnd.OUT_OF_FUEL) {
    return `on ${receipt.fuel} fuel it ended ${endName(outcome.end)} instead of OUT_OF_FUEL`;
  }
  if (outcome.stopStateDigest === null) return 'the replay has no stop state digest';
  return sameBytes(outcome.stopStateDigest, receipt.stopStateDigest)
    ? problemOfSleep(receipt, outcome)
    : `its memories at ${receipt.fuel} fuel are ${digestText(outcome.stopStateDigest)}, the receipt says ${digestText(receipt.stopStateDigest)}`;
}

function problemOfOutcome(receipt: CheckedReceipt, outcome: ReplayOutcome): string | null {
  if (outcome.end !== receipt.end || outcome.endDetail !== receipt.endDetail) {
    return `it ended ${endText(outcome)}, the receipt says ${endText(receipt)}`;
  }
  if (outcome.fuel !== receipt.fuel) {
    return `it burnt ${outcome.fuel} fuel, the receipt says ${receipt.fuel}`;
  }
  const { output } = receipt;
  return outcome.outputBytes === output.sizeBytes && sameBytes(outcome.outputDigest, output.digest)
    ? problemOfSleep(receipt, outcome)
    : `its output is ${digestText(outcome.outputDigest)} of ${outcome.outputBytes} bytes, the receipt says ${digestText(output.digest)} of ${output.sizeBytes}`;
}

/** Sleep shortens the deadline and so the floor of a stop: a node may not make any up. */
function problemOfSleep({ sleptNs }: CheckedReceipt, outcome: ReplayOutcome): string | null {
  return outcome.sleptNs === sleptNs
    ? null
    : `it slept ${outcome.sleptNs} ns, the receipt says ${sleptNs}`;
}

function endText({ end, endDetail }: { readonly end: JobEnd; readonly endDetail: string }): string {
  return endDetail === '' ? endName(end) : `${endName(end)} (${endDetail})`;
}

function different(problem: string): ReplayVerdict {
  return { kind: 'different', problem };
}
