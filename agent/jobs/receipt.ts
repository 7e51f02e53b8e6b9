// What a node says it did: the outcome of a guest as a signed receipt.
import { JobEnd, type Bill, type BlobRef, type Envelope } from '#gen/gapjunction/job/v1/bill_pb';
import type { GuestEnd, GuestOutcome } from '../../sandbox/sandbox.ts';
import { MAX_TEXT_BYTES } from '../../protocol/bill/check-fields.ts';
import { digest, DIGEST_OF_NOTHING } from '../../protocol/bill/digest.ts';
import { endRule, KILLED } from '../../protocol/bill/ends.ts';
import { PAYLOAD_TYPE, signEnvelope } from '../../protocol/bill/envelope.ts';
import { encodeReceipt } from '../../protocol/bill/receipt.ts';
import type { AcceptedOrder } from './order-check.ts';

/** The engine that runs guests: V8, as Node.js carries it. */
export const ENGINE = { name: 'v8', version: process.versions.v8 } as const;

/** A guest's end as the contract names it. */
export const JOB_END: Readonly<Record<GuestEnd, JobEnd>> = {
  SUCCEEDED: JobEnd.SUCCEEDED,
  GUEST_FAILED: JobEnd.GUEST_FAILED,
  OUT_OF_FUEL: JobEnd.OUT_OF_FUEL,
  OUTPUT_TOO_LARGE: JobEnd.OUTPUT_TOO_LARGE,
  TRAPPED: JobEnd.TRAPPED,
  DEADLINE_EXCEEDED: JobEnd.DEADLINE_EXCEEDED,
  CANCELLED: JobEnd.CANCELLED,
  NODE_FAULT: JobEnd.NODE_FAULT,
  INVALID_MODULE: JobEnd.INVALID_MODULE,
};

/** The receipt of one attempt, and what goes to the control plane with it. */
export interface SignedReceipt {
  readonly taskId: Uint8Array;
  readonly attemptId: string;
  readonly jobId: string;
  /** Of the call that submitted the job; empty where it is not known, as after a restart. */
  readonly requestId: string;
  readonly end: JobEnd;
  readonly endDetail: string;
  readonly output: Uint8Array;
  /** Order and receipt with their chains; the settlement is still missing. */
  readonly bill: Pick<Bill, 'workOrder' | 'workOrderChain' | 'receiptChain'> & {
    readonly receipt: Envelope;
  };
}

/** Signs the outcome under the key that the order names. Times in Unix milliseconds. */
export async function signReceipt(
  accepted: AcceptedOrder,
  outcome: GuestOutcome,
  { startedMs, finishedMs }: { readonly startedMs: number; readonly finishedMs: number },
): Promise<SignedReceipt> {
  const { order, taskId, signed, signingKey } = accepted;
  const end = JOB_END[outcome.end];
  const endDetail = detailOf(end, outcome.detail);
  const payload = encodeReceipt({
    taskId,
    end,
    endDetail,
    fuel: outcome.fuel,
    output: referenceTo(outcome.output),
    logDigest: outcome.logs.length === 0 ? DIGEST_OF_NOTHING : digest(outcome.logs),
    stopStateDigest: endRule(end).stop ? (outcome.stopStateDigest ?? undefined) : undefined,
    sleptNs: outcome.sleptNs,
    peakMemoryPages: outcome.peakMemoryPages,
    startedMs: BigInt(startedMs),
    // The machine's clock may have been set back meanwhile.
    finishedMs: BigInt(Math.max(startedMs, finishedMs)),
    engine: ENGINE.name,
    engineVersion: ENGINE.version,
    profile: order.profile,
  });
  const receipt = await signEnvelope({
    payloadType: PAYLOAD_TYPE.receipt,
    payload,
    signer: signingKey.key,
  });
  return {
    taskId,
    attemptId: order.attemptId,
    jobId: order.jobId,
    requestId: accepted.requestId,
    end,
    endDetail,
    output: outcome.output,
    bill: { ...signed, receipt, receiptChain: [...signingKey.chain] },
  };
}

function referenceTo(output: Uint8Array): Pick<BlobRef, 'digest' | 'sizeBytes'> {
  return {
    digest: output.length === 0 ? DIGEST_OF_NOTHING : digest(output),
    sizeBytes: BigInt(output.length),
  };
}

/** A stop has the detail KILLED or none; others are text of a guest's making, cut to what a receipt holds. */
function detailOf(end: JobEnd, detail: string): string {
  if (endRule(end).stop) return detail === KILLED ? KILLED : '';
  const plain = detail.toWellFormed().replace(/\p{Cc}/gu, ' ');
  let cut = plain.slice(0, MAX_TEXT_BYTES);
  while (Buffer.byteLength(cut) > MAX_TEXT_BYTES) cut = cut.slice(0, -1).toWellFormed();
  return cut;
}

/** An end in which no guest was entered, or nothing of it counts. */
export function endedWith(
  end: 'NODE_FAULT' | 'CANCELLED' | 'TRAPPED',
  detail: string,
): GuestOutcome {
  return {
    end,
    detail,
    fuel: 0n,
    output: new Uint8Array(),
    logs: new Uint8Array(),
    stopStateDigest: null,
    sleptNs: 0n,
    peakMemoryPages: 0,
  };
}
