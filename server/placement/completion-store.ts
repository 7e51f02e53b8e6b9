// Receipts, bills and signatures in the database.
import {
  hexOf,
  requireAllSaved,
  SAVE_JOBS,
  saveParameters,
  type JobChange,
} from '../jobs/job-store.ts';
import type { JobLife } from '../jobs/job-record.ts';
import { jobOf, LIFE_COLUMNS, type LifeSqlRow } from '../jobs/job-row.ts';
import { apply, type Job } from '../jobs/jobs.ts';
import { endUses, saveChanges } from '../jobs/job-end-store.ts';
import { settleJob } from '../ledger/ledger-store.ts';
import { encodeSettlement } from '../../protocol/bill/settlement.ts';
import type { Envelope } from '#gen/gapjunction/job/v1/bill_pb';
import { splitChain } from '../bills/certificate-chains.ts';
import { keepOutput, type OutputBlobs } from './output-store.ts';
import { attemptStale, type ReceiptVerdict } from './receipt-check.ts';
import { query, together } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';

/** An attempt that a receipt came for, its job locked. */
export interface LockedTask {
  readonly record: JobLife;
  readonly taskId: Uint8Array;
  readonly attemptId: string;
  readonly nodeId: string;
  readonly orderPayload: Uint8Array;
  readonly orderKeyId: Uint8Array;
  /** Null where nobody stored it yet. */
  readonly orderSignature: Uint8Array | null;
  /** The node's chain when the order was given. */
  readonly nodeChain: { readonly chainDigest: Uint8Array; readonly certificates: Uint8Array };
  /** Of the receipt that ended the attempt before, or null. */
  readonly receiptDigest: Uint8Array | null;
  /** The database's clock. */
  readonly nowMs: number;
}

/** The task of this node, or null where no such order was given to it. */
export async function lockTask(
  em: EntityManager,
  { taskId, nodeId }: { taskId: Uint8Array; nodeId: string },
): Promise<LockedTask | null> {
  const locking = query<{ job_id: string }>(
    em,
    `select job_id from job
      where job_id = (select job_id from attempt where task_id = $1 and node_id = $2) for update`,
    [taskId, nodeId],
  );
  const reading = query<
    LifeSqlRow & {
      attempt_id: string;
      order_payload: Uint8Array;
      order_key_id: Uint8Array;
      order_signature: Uint8Array | null;
      node_chain_digest: Uint8Array;
      node_certificates: Uint8Array;
      receipt_digest: Uint8Array | null;
    }
  >(
    em,
    `select ${LIFE_COLUMNS}, t.attempt_id, t.order_payload, t.order_key_id, t.order_signature,
            t.node_chain_digest, c.certificates as node_certificates, t.receipt_digest
       from attempt t join job j on j.job_id = t.job_id
       join certificate_chain c on c.chain_digest = t.node_chain_digest
      where t.task_id = $1`,
    [taskId],
  );
  const [locked, [row]] = await together([locking, reading]);
  if (locked[0] === undefined) return null;
  if (row === undefined) throw new Error(`reading the order of '${locked[0].job_id}': it is gone`);
  return {
    record: {
      job: jobOf(row),
      terms: { moduleDigest: row.module_digest, inputDigest: row.input_digest },
    },
    taskId,
    attemptId: row.attempt_id,
    nodeId,
    orderPayload: row.order_payload,
    orderKeyId: row.order_key_id,
    orderSignature: row.order_signature,
    nodeChain: { chainDigest: row.node_chain_digest, certificates: row.node_certificates },
    receiptDigest: row.receipt_digest,
    nowMs: Number(row.now_ms),
  };
}

/** Fails the attempt unpaid; the job is queued again or ends. Throws RpcError ATTEMPT_STALE. */
export async function failTask(
  em: EntityManager,
  blobs: OutputBlobs,
  failed: { task: LockedTask; failure: string; receiptDigest: Uint8Array; maxAttempts: number },
): Promise<Job> {
  const { task, failure, receiptDigest, maxAttempts } = failed;
  const { record, attemptId, nowMs } = task;
  const event = { kind: 'fail-attempt', attemptId, failure, maxAttempts } as const;
  const outcome = apply(record.job, event, nowMs);
  if (outcome.kind !== 'changed') throw attemptStale(attemptId);
  await saveChanges(em, blobs, [{ outcome, record, receiptDigest }]);
  return outcome.job;
}

/** Whose key will sign what is written now. */
export interface BillSigner {
  readonly keyId: Uint8Array;
  /** DER, leaf first, and the digest that it is stored by. */
  readonly chain: readonly Uint8Array[];
  readonly chainDigest: Uint8Array;
}

/**
 * Pays the attempt: output, bill, job and postings, all in the caller's transaction. The ledger comes
 * last: it locks the client's balance until the end. Throws RpcError ATTEMPT_STALE, OUTPUT_MISSING, RECEIPT_INVALID.
 */
export async function payTask(
  em: EntityManager,
  blobs: OutputBlobs,
  payment: {
    readonly task: LockedTask;
    readonly verdict: Extract<ReceiptVerdict, { kind: 'pay' }>;
    readonly envelope: Envelope;
    readonly inlineOutput: Uint8Array | undefined;
    readonly signer: BillSigner;
    /** Of the order, where this replica made it and nobody stored it yet. */
    readonly orderSignature: Uint8Array | null;
  },
): Promise<{ readonly job: Job; readonly bill: UnsignedBill }> {
  const { task, verdict, envelope, inlineOutput, signer } = payment;
  const orderSignature = task.orderSignature ?? payment.orderSignature;
  const { record, attemptId, nodeId, nowMs } = task;
  const { end, endDetail, amounts, receipt, receiptDigest, order } = verdict;
  const { job } = record;
  const outcome = apply(job, { kind: 'accept-receipt', attemptId, end, endDetail }, nowMs);
  if (outcome.kind !== 'changed') throw attemptStale(attemptId);

  // The database's clock may have been set back since; a bill that was settled before its order is void.
  const leasedMs = job.attempts.at(-1)?.leasedMs ?? nowMs;
  await keepOutput(em, blobs, { job, attemptId, receipt, inlineOutput });
  const settlement = encodeSettlement({
    receiptDigest,
    ...amounts,
    price: order.price,
    settledMs: BigInt(Math.max(nowMs, leasedMs)),
  });
  const change: JobChange = {
    job: outcome.job,
    receiptDigest,
    orderSignature,
    result: {
      fuel: receipt.fuel,
      chargeMicrocents: amounts.chargeMicrocents,
      outputDigest: receipt.output.digest,
      outputBytes: receipt.output.sizeBytes,
    },
  };
  const endingUses = endUses(em, blobs, record);
  const saving = query(
    em,
    `with ${SAVE_JOBS}, new_bill as (
       insert into bill (job_id, attempt_id, receipt_payload, receipt_signature, receipt_key_id,
         receipt_chain_digest, settlement_payload, settlement_key_id, settlement_chain_digest)
       values ($3, $4, $5, $6, $7, $8, $9, $10, $11)
     ) select job_id from job_change`,
    [
      ...saveParameters([change]),
      job.jobId,
      attemptId,
      envelope.payload,
      envelope.signature,
      envelope.keyId,
      task.nodeChain.chainDigest,
      settlement,
      signer.keyId,
      signer.chainDigest,
    ],
  );
  const moved = { clientId: job.clientId, jobId: job.jobId, nodeId, ...amounts };
  const settling = settleJob(em, moved);
  const [, saved] = await together([endingUses, saving, settling]);
  requireAllSaved([change], saved.length);
  return {
    job: outcome.job,
    bill: {
      jobId: job.jobId,
      settlement: { payload: settlement, keyId: signer.keyId },
      settlementChain: signer.chain,
      settlementSignature: null,
      order: { payload: task.orderPayload, keyId: task.orderKeyId },
      orderSignature,
    },
  };
}

/** What of a bill is still to be signed. */
export interface UnsignedBill {
  readonly jobId: string;
  readonly settlement: { readonly payload: Uint8Array; readonly keyId: Uint8Array };
  /** Of the key that the settlement names, which may have been replaced since: DER, leaf first. */
  readonly settlementChain: readonly Uint8Array[];
  readonly settlementSignature: Uint8Array | null;
  readonly order: { readonly payload: Uint8Array; readonly keyId: Uint8Array };
  readonly orderSignature: Uint8Array | null;
}

/** The bills of these jobs, or, for null, of every job that waits for its settlement's signature. */
export async function readBillsToSign(
  em: EntityManager,
  jobIds: readonly string[] | null,
): Promise<readonly UnsignedBill[]> {
  const rows = await query<{
    job_id: string;
    settlement_payload: Uint8Array;
    settlement_key_id: Uint8Array;
    settlement_certificates: Uint8Array;
    settlement_signature: Uint8Array | null;
    order_payload: Uint8Array;
    order_key_id: Uint8Array;
    order_signature: Uint8Array | null;
  }>(
    em,
    `select b.job_id, b.settlement_payload, b.settlement_key_id, b.settlement_signature,
            c.certificates as settlement_certificates,
            a.order_payload, a.order_key_id, a.order_signature
       from bill b join attempt a on a.attempt_id = b.attempt_id
       join certificate_chain c on c.chain_digest = b.settlement_chain_digest
      where ${
        jobIds === null
          ? `b.job_id in (select job_id from job where state = 'settling' order by submitted_ms limit 100)`
          : 'b.job_id in (select jsonb_array_elements_text($1::jsonb))'
      }`,
    jobIds === null ? [] : [JSON.stringify(jobIds)],
  );
  return rows.map((row) => ({
    jobId: row.job_id,
    settlement: { payload: row.settlement_payload, keyId: row.settlement_key_id },
    settlementChain: splitChain(row.settlement_certificates),
    settlementSignature: row.settlement_signature,
    order: { payload: row.order_payload, keyId: row.order_key_id },
    orderSignature: row.order_signature,
  }));
}

export interface BillSignatures {
  readonly jobId: string;
  readonly settlementSignature: Uint8Array;
  /** Null where it stands already. */
  readonly orderSignature: Uint8Array | null;
}

/**
 * Stores signatures and ends the jobs that waited for them. A signature that stands already stays, and is
 * what counts.
 */
export async function saveSignatures(
  em: EntityManager,
  signatures: readonly BillSignatures[],
): Promise<{
  /** The jobs that ended now. */
  readonly ended: readonly string[];
  /** The settlements' signatures as they stand, by job. */
  readonly stored: ReadonlyMap<string, Uint8Array>;
}> {
  const rows = signatures.map(({ jobId, settlementSignature, orderSignature }) => ({
    job_id: jobId,
    settlement: hexOf(settlementSignature),
    order_signature: orderSignature === null ? null : hexOf(orderSignature),
  }));
  // Everyone locks jobs first, in the order of their ids: no two batches wait for each other in a circle.
  const locking = query(
    em,
    `select job_id from job where job_id in (select jsonb_array_elements_text($1::jsonb))
      order by job_id for update`,
    [JSON.stringify(rows.map(({ job_id }) => job_id))],
  );
  const saving = query<{ job_id: string; signature: Uint8Array; has_ended: boolean }>(
    em,
    `with signature as (
       select * from jsonb_to_recordset($1::jsonb)
         as s (job_id text, settlement text, order_signature text)
     ), job_change as (
       update job j set state = 'ended', revision = revision + 1
         from signature s where j.job_id = s.job_id and j.state = 'settling'
       returning j.job_id
     ), bill_change as (
       update bill b
          set settlement_signature = coalesce(b.settlement_signature, decode(s.settlement, 'hex'))
         from signature s where b.job_id = s.job_id
       returning b.job_id, b.settlement_signature as signature
     ), order_change as (
       update attempt a
          set order_signature = coalesce(a.order_signature, decode(s.order_signature, 'hex'))
         from signature s join bill b on b.job_id = s.job_id
        where a.attempt_id = b.attempt_id and s.order_signature is not null
     ) select b.job_id, b.signature, j.job_id is not null as has_ended
         from bill_change b left join job_change j on j.job_id = b.job_id`,
    [JSON.stringify(rows)],
  );
  const [, saved] = await together([locking, saving]);
  return {
    ended: saved.flatMap(({ job_id, has_ended }) => (has_ended ? [job_id] : [])),
    stored: new Map(saved.map(({ job_id, signature }) => [job_id, signature])),
  };
}
