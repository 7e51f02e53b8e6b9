// Whether a node runs an order: only what the control plane signed, for this node, under terms that this
// machine can keep. Judged before it is acknowledged; nothing of a refused order is touched.
import type { Bill } from '#gen/gapjunction/job/v1/bill_pb';
import type { Order } from '#gen/gapjunction/node/v1/dispatch_pb';
import { digest, sameBytes } from '../../protocol/bill/digest.ts';
import { PAYLOAD_TYPE, verifyEnvelope } from '../../protocol/bill/envelope.ts';
import type { LimitValues } from '../../protocol/bill/limits.ts';
import { MalformedPayload } from '../../protocol/bill/strict-decode.ts';
import { taskIdOf } from '../../protocol/bill/task-id.ts';
import { decodeWorkOrder, type CheckedWorkOrder } from '../../protocol/bill/work-order.ts';
import { saneRequestId } from '../control-plane/request-id.ts';
import type { SigningKey } from '../identity/identity.ts';
import type { Signers } from './signers.ts';

/** What an agent holds an order against. */
export interface OrderTerms {
  readonly nodeId: string;
  readonly signers: Signers;
  /** The node's key of this id, current or retired, or null. */
  readonly signingKeyOf: (keyId: Uint8Array) => SigningKey | null;
  /** SHA-256 of each profile's document that the sandbox keeps to, by name. */
  readonly profiles: ReadonlyMap<string, Uint8Array>;
  /** The most that this machine gives to one guest. */
  readonly mostLimits: LimitValues;
  readonly mostModuleBytes: number;
  readonly mostInputBytes: number;
}

export interface AcceptedOrder {
  readonly order: CheckedWorkOrder;
  readonly taskId: Uint8Array;
  /** The order as it was signed, and its signer's chain: the first part of the bill. */
  readonly signed: Pick<Bill, 'workOrder' | 'workOrderChain'>;
  readonly signingKey: SigningKey;
  readonly inlineInput: Uint8Array | null;
  /** Of the call that submitted the job; empty where it is not known. */
  readonly requestId: string;
}

export type OrderVerdict =
  | { readonly kind: 'accept'; readonly accepted: AcceptedOrder }
  /** `rule` is a stable name. */
  | { readonly kind: 'refuse'; readonly rule: string; readonly problem: string };

/** Judges an order at `now` (Unix milliseconds). Never throws on any order. */
export function checkOrder(order: Order, terms: OrderTerms, now: number): OrderVerdict {
  const { envelope, signerChain } = order;
  if (envelope === undefined) return refuse('envelope', 'there is none');
  const signer = terms.signers.check(signerChain, now);
  if (!signer.ok) return refuse('signer', signer.problem);
  const verdict = verifyEnvelope(envelope, {
    payloadType: PAYLOAD_TYPE.workOrder,
    publicKey: signer.signer.publicKey,
  });
  if (!verdict.ok) return refuse('signature', verdict.problem);
  let content: CheckedWorkOrder;
  try {
    content = decodeWorkOrder(verdict.payload);
  } catch (cause) {
    if (cause instanceof MalformedPayload) return refuse('content', cause.message);
    throw cause;
  }
  const signingKey = terms.signingKeyOf(content.nodeKeyId);
  const inlineInput = order.inlineInput ?? null;
  for (const [rule, problem] of [
    ['node', problemOfNode(content, terms)],
    ['key', signingKey === null ? 'it names a key that this node has not' : null],
    ['time', problemOfTime(content, now)],
    ['profile', problemOfProfile(content, terms)],
    ['limits', problemOfLimits(content, terms)],
    ['input', problemOfInput(content, inlineInput)],
  ] as const) {
    if (problem !== null) return refuse(rule, problem);
  }
  if (signingKey === null) return refuse('key', 'it names a key that this node has not');
  return {
    kind: 'accept',
    accepted: {
      order: content,
      taskId: taskIdOf(verdict.payload),
      signed: { workOrder: envelope, workOrderChain: signerChain },
      signingKey,
      inlineInput,
      requestId: saneRequestId(order.requestId),
    },
  };
}

function problemOfNode({ nodeId }: CheckedWorkOrder, terms: OrderTerms): string | null {
  return nodeId === terms.nodeId ? null : `it is for the node '${nodeId}'`;
}

function problemOfTime({ notBeforeMs, expiresMs }: CheckedWorkOrder, now: number): string | null {
  if (BigInt(now) < notBeforeMs) return `it is valid from ${notBeforeMs} ms, now is ${now} ms`;
  return BigInt(now) < expiresMs ? null : `it expired at ${expiresMs} ms, now is ${now} ms`;
}

function problemOfProfile(
  { profile, profileDigest }: CheckedWorkOrder,
  { profiles }: OrderTerms,
): string | null {
  const known = profiles.get(profile);
  if (known === undefined) return `the profile '${profile}' is not known here`;
  return sameBytes(known, profileDigest) ? null : `the document of '${profile}' is another one`;
}

function problemOfLimits(
  { limits, module, input }: CheckedWorkOrder,
  { mostLimits, mostModuleBytes, mostInputBytes }: OrderTerms,
): string | null {
  const asked: readonly [what: string, value: bigint, most: bigint][] = [
    ['fuel', limits.fuel, mostLimits.fuel],
    ['deadline_epochs', BigInt(limits.deadlineEpochs), BigInt(mostLimits.deadlineEpochs)],
    ['memory_bytes', limits.memoryBytes, mostLimits.memoryBytes],
    ['output_bytes', limits.outputBytes, mostLimits.outputBytes],
    ['log_bytes', limits.logBytes, mostLimits.logBytes],
    ['module size', module.sizeBytes, BigInt(mostModuleBytes)],
    ['input size', input.sizeBytes, BigInt(mostInputBytes)],
  ];
  const over = asked.find(([, value, most]) => value > most);
  return over === undefined ? null : `its ${over[0]} of ${over[1]} is more than ${over[2]} here`;
}

function problemOfInput({ input }: CheckedWorkOrder, inline: Uint8Array | null): string | null {
  if (inline === null) return null;
  if (BigInt(inline.length) !== input.sizeBytes) {
    return `its inline input has ${inline.length} bytes instead of ${input.sizeBytes}`;
  }
  return sameBytes(digest(inline), input.digest) ? null : 'its inline input has another digest';
}

function refuse(rule: string, problem: string): OrderVerdict {
  return { kind: 'refuse', rule, problem };
}
