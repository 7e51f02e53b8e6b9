// Everything about a bill that can be checked by somebody who trusts nothing but the root certificate,
// without a network:
//
//   1. each document was signed by who may sign it, and is what its type says;
//   2. each certificate led to the root at the time of the settlement, in one trust domain;
//   3. the documents belong together: order -> task id -> receipt -> digest -> settlement;
//   4. the receipt fits the order, and the amounts follow from the price;
//   5. on demand, the job runs again to the same end.

import type { X509Certificate } from 'node:crypto';
import type { Bill, Envelope } from '#gen/gapjunction/job/v1/bill_pb';
import { verifyChain } from '../identity/chain.ts';
import type { SpiffeName } from '../identity/spiffe.ts';
import { RECEIPT_RULES } from './check-receipt.ts';
import { digest, sameBytes } from './digest.ts';
import { endName, endRule } from './ends.ts';
import { PAYLOAD_TYPE } from './envelope.ts';
import { samePrice } from './price.ts';
import { decodeReceipt, type CheckedReceipt } from './receipt.ts';
import { replayBill, type Replay } from './replay.ts';
import { CheckList, type Check } from './report.ts';
import { amountsOf, decodeSettlement, type CheckedSettlement } from './settlement.ts';
import { taskIdOf } from './task-id.ts';
import {
  problemOfControlPlaneSigner,
  verifyDocument,
  type SignedDocument,
} from './verify-document.ts';
import { decodeWorkOrder, type CheckedWorkOrder } from './work-order.ts';

export interface VerifyOptions {
  /** The one certificate that is trusted. */
  readonly rootCertificate: X509Certificate;
  /** Where every signer must belong; default: where the settlement's signer does. */
  readonly trustDomain?: string;
  /** SHA-256 of each profile's document by its name; default: the profile is not checked. */
  readonly profileDigests?: ReadonlyMap<string, Uint8Array>;
  /** Runs the job again; default: no replay. */
  readonly replay?: Replay;
}

export interface BillReport {
  /** Every check was made and holds. A bill that cannot be replayed is not ok when replay was asked for. */
  readonly ok: boolean;
  readonly checks: readonly Check[];
  /** The documents whose signature, signer and form hold; null for others. */
  readonly order: CheckedWorkOrder | null;
  readonly receipt: CheckedReceipt | null;
  readonly settlement: CheckedSettlement | null;
}

interface Documents {
  readonly order: SignedDocument<CheckedWorkOrder>;
  readonly receipt: SignedDocument<CheckedReceipt>;
  readonly settlement: SignedDocument<CheckedSettlement>;
}

/** Verifies a bill. Whatever is wrong with it is a failed check: never throws on any bill. */
export async function verifyBill(bill: Bill, options: VerifyOptions): Promise<BillReport> {
  const checks = new CheckList();
  const settlement = verifyDocument({
    name: 'settlement',
    envelope: bill.settlement,
    chain: bill.settlementChain,
    payloadType: PAYLOAD_TYPE.settlement,
    problemOfSigner: problemOfControlPlaneSigner,
    decode: decodeSettlement,
    checks,
  });
  const order = verifyDocument({
    name: 'order',
    envelope: bill.workOrder,
    chain: bill.workOrderChain,
    payloadType: PAYLOAD_TYPE.workOrder,
    problemOfSigner: problemOfControlPlaneSigner,
    decode: decodeWorkOrder,
    checks,
  });
  const receipt = verifyReceipt(bill.receipt, bill.receiptChain, order, checks);
  verifyChains(bill, settlement, options.rootCertificate, checks);
  verifyTrustDomain([settlement?.signer, order?.signer, receipt?.signer], options, checks);
  if (settlement !== null && order !== null && receipt !== null) {
    const documents = { settlement, order, receipt };
    verifyTerms(documents, checks);
    verifyProfile(order.content, options, checks);
    await verifyReplay(documents, options.replay, checks);
  } else {
    checks.skip('terms', 'not all of the three documents hold');
  }
  return {
    ok: checks.allOk,
    checks: checks.checks,
    order: order?.content ?? null,
    receipt: receipt?.content ?? null,
    settlement: settlement?.content ?? null,
  };
}

/** Only the node of the order may sign, with the key that the order names. */
function verifyReceipt(
  envelope: Envelope | undefined,
  chain: readonly Uint8Array[],
  order: SignedDocument<CheckedWorkOrder> | null,
  checks: CheckList,
): SignedDocument<CheckedReceipt> | null {
  return verifyDocument({
    name: 'receipt',
    envelope,
    chain,
    payloadType: PAYLOAD_TYPE.receipt,
    problemOfSigner: ({ identity }, leaf) => {
      if (identity.role !== 'node') return `it was signed by a ${identity.role}; only a node may`;
      if (order === null) return 'the order does not hold, so nobody knows which node may sign';
      const { nodeId, nodeKeyId } = order.content;
      if (identity.id !== nodeId) return `it was signed by ${identity.id}, ordered was ${nodeId}`;
      return sameBytes(leaf.keyId, nodeKeyId)
        ? null
        : 'its key is not the one that the order names';
    },
    decode: decodeReceipt,
    checks,
  });
}

function verifyChains(
  bill: Bill,
  settlement: SignedDocument<CheckedSettlement> | null,
  root: X509Certificate,
  checks: CheckList,
): void {
  const chains = [
    ['settlement.chain', bill.settlementChain],
    ['order.chain', bill.workOrderChain],
    ['receipt.chain', bill.receiptChain],
  ] as const;
  for (const [name, chain] of chains) {
    if (settlement === null) {
      checks.skip(name, 'the settlement does not hold, so its time is not known');
      continue;
    }
    const atMs = Number(settlement.content.settledMs);
    const verdict = verifyChain({ chain, root, atMs });
    checks.note(name, verdict.ok ? null : `${verdict.problem}, at the time of the settlement`);
  }
}

function verifyTrustDomain(
  signers: readonly (SpiffeName | undefined)[],
  { trustDomain }: VerifyOptions,
  checks: CheckList,
): void {
  const domains = signers.flatMap((signer) => (signer === undefined ? [] : [signer.trustDomain]));
  const expected = trustDomain ?? domains[0];
  const other = domains.find((domain) => domain !== expected);
  checks.note(
    'trust-domain',
    other === undefined ? null : `a signer belongs to "${other}" instead of "${expected}"`,
  );
}

function verifyProfile(
  { profile, profileDigest }: CheckedWorkOrder,
  { profileDigests }: VerifyOptions,
  checks: CheckList,
): void {
  if (profileDigests === undefined) return;
  const known = profileDigests.get(profile);
  if (known === undefined) checks.note('order.profile', `the profile "${profile}" is not known`);
  else if (sameBytes(known, profileDigest)) checks.note('order.profile', null);
  else checks.note('order.profile', `the document of "${profile}" is another one`);
}

function verifyTerms({ order, receipt, settlement }: Documents, checks: CheckList): void {
  const taskId = taskIdOf(order.payload);
  for (const { name, problem } of RECEIPT_RULES) {
    checks.note(name, problem({ order: order.content, taskId, receipt: receipt.content }));
  }
  checks.note(
    'receipt.billable',
    endRule(receipt.content.end).bill
      ? null
      : `a job that ended ${endName(receipt.content.end)} has no bill`,
  );
  checks.note(
    'settlement.receipt',
    sameBytes(settlement.content.receiptDigest, digest(receipt.payload))
      ? null
      : 'it settles another receipt',
  );
  checks.note(
    'settlement.time',
    settlement.content.settledMs >= order.content.notBeforeMs
      ? null
      : 'it was settled before the order was valid',
  );
  checks.note(
    'settlement.price',
    samePrice(settlement.content.price, order.content.price)
      ? null
      : 'its price is not the price of the order',
  );
  verifyAmounts(order.content, receipt.content, settlement.content, checks);
}

function verifyAmounts(
  order: CheckedWorkOrder,
  receipt: CheckedReceipt,
  settlement: CheckedSettlement,
  checks: CheckList,
): void {
  const amounts = bookableAmounts(order, receipt);
  checks.note(
    'settlement.charge',
    amounts?.chargeMicrocents === settlement.chargeMicrocents
      ? null
      : `${settlement.chargeMicrocents} microcents are charged, the price makes it ${amounts?.chargeMicrocents ?? 'nothing that can be charged'}`,
  );
  checks.note(
    'settlement.node-share',
    amounts?.nodeShareMicrocents === settlement.nodeShareMicrocents
      ? null
      : `the node's share is ${settlement.nodeShareMicrocents} microcents, the price makes it ${amounts?.nodeShareMicrocents ?? 'nothing that can be paid'}`,
  );
}

function bookableAmounts(
  order: CheckedWorkOrder,
  receipt: CheckedReceipt,
): ReturnType<typeof amountsOf> {
  try {
    return amountsOf(order, receipt);
  } catch (cause) {
    // The price is within bounds, but the product is more than anybody can book.
    if (cause instanceof RangeError) return null;
    throw cause;
  }
}

async function verifyReplay(
  { order, receipt }: Documents,
  replay: Replay | undefined,
  checks: CheckList,
): Promise<void> {
  if (replay === undefined) return;
  const verdict = await replayBill(order.content, receipt.content, replay);
  switch (verdict.kind) {
    case 'same':
      checks.note('replay', null);
      break;
    case 'different':
      checks.note('replay', verdict.problem);
      break;
    case 'not-replayable':
      checks.notReplayable('replay', verdict.reason);
      break;
    default:
      verdict satisfies never;
  }
}
