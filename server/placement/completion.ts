// A receipt becomes a settlement, or ends its attempt without pay. Everything that is written for it is
// written in one transaction; signing follows.
import type { CompleteRequest } from '#gen/gapjunction/node/v1/dispatch_pb';
import { digestText } from '../../protocol/bill/digest.ts';
import type { JobObserver } from '../jobs/job-observer.ts';
import type { Job } from '../jobs/jobs.ts';
import { RpcError } from '../rpc/error.ts';
import type { Store } from '../store/store.ts';
import {
  failTask,
  lockTask,
  payTask,
  type BillSigner,
  type UnsignedBill,
} from './completion-store.ts';
import type { Acknowledgements } from './acknowledgements.ts';
import type { Leases } from './leases.ts';
import type { NodeKeys } from './node-keys.ts';
import type { OutputBlobs } from './output-store.ts';
import { checkReceiptOf } from './receipt-check.ts';
import type { SettlementSigning, SignedSettlement } from './settlement-signing.ts';

export interface CompletionOptions {
  readonly store: Store;
  readonly blobs: OutputBlobs;
  readonly keys: NodeKeys;
  readonly isRevoked: (serial: string) => boolean;
  readonly leases: Leases;
  readonly acknowledgements: Acknowledgements;
  readonly signing: SettlementSigning;
  readonly signer: BillSigner;
  /** How often a job is tried at most. */
  readonly maxAttempts: number;
  readonly observer: JobObserver;
  /** Why a settlement could not be signed, for the log. */
  readonly onError: (doing: string, cause: unknown) => void;
}

interface Completed {
  readonly job: Job;
  readonly attemptId: string;
  /** `bill` is null where the settlement was written before. */
  readonly pay: { readonly bill: UnsignedBill | null; readonly fuel: bigint } | null;
  readonly isNew: boolean;
}

export class Completion {
  readonly #options: CompletionOptions;

  constructor(options: CompletionOptions) {
    this.#options = options;
  }

  /** The signed settlement, or null where the receipt is not paid. Errors as the contract says. */
  async complete(request: CompleteRequest, nodeId: string): Promise<SignedSettlement | null> {
    const completed = await this.#write(request, nodeId);
    const { job, attemptId, pay, isNew } = completed;
    if (isNew) this.#observe(completed);
    const { leases, acknowledgements } = this.#options;
    acknowledgements.overtake({ nodeId, attemptId });
    leases.ended({ nodeId, attemptId });
    if (pay !== null) return this.#sign(job, pay.bill);
    if (isNew) leases.announce([job]);
    return null;
  }

  async #write({ taskId, receipt, inlineOutput }: CompleteRequest, nodeId: string) {
    const { store, keys, isRevoked, blobs, signer, maxAttempts, acknowledgements } = this.#options;
    return store.transaction(async (em): Promise<Completed> => {
      const task = await lockTask(em, { taskId, nodeId });
      if (task === null || receipt === undefined) throw taskUnknown(taskId);
      const { attemptId } = task;
      const key = keys.keyOf(task.nodeChain);
      const verdict = checkReceiptOf(task, receipt, { key, isRevoked });
      switch (verdict.kind) {
        case 'again': {
          const pay = verdict.paid ? { bill: null, fuel: 0n } : null;
          return { job: task.record.job, attemptId, pay, isNew: false };
        }
        case 'fail': {
          const job = await failTask(em, blobs, { task, ...verdict, maxAttempts });
          return { job, attemptId, pay: null, isNew: true };
        }
        case 'pay': {
          const paid = await payTask(em, blobs, {
            task,
            verdict,
            envelope: receipt,
            inlineOutput,
            signer,
            orderSignature: acknowledgements.orderSignatureOf(attemptId),
          });
          return {
            job: paid.job,
            attemptId,
            pay: { bill: paid.bill, fuel: verdict.receipt.fuel },
            isNew: true,
          };
        }
        default:
          return verdict satisfies never;
      }
    });
  }

  #observe({ job, pay }: Completed): void {
    const { observer } = this.#options;
    const { jobId, state } = job;
    const last = job.attempts.at(-1);
    if (last?.state.kind === 'failed') {
      const { attemptId, nodeId } = last;
      const { failure } = last.state;
      observer.attemptFailed(failure);
      observer.step({ kind: 'attempt-failed', jobId, attemptId, nodeId, failure });
    }
    if (state.kind === 'settling' || state.kind === 'ended') {
      observer.jobEnded(state.end);
      observer.step({ kind: 'ended', jobId, end: state.end });
    }
    if (pay !== null) observer.fuelSettled(pay.fuel);
  }

  async #sign(job: Job, bill: UnsignedBill | null): Promise<SignedSettlement> {
    const { signing, onError } = this.#options;
    try {
      return bill === null ? await signing.signOf(job.jobId) : await signing.sign(bill);
    } catch (cause) {
      onError(`signing the settlement of '${job.jobId}'`, cause);
      throw new RpcError(
        'UNAVAILABLE',
        'SETTLEMENT_UNSIGNED',
        'completing the task: the receipt is accepted, its settlement is not signed yet; ask again',
        { cause },
      );
    }
  }
}

function taskUnknown(taskId: Uint8Array): RpcError {
  return new RpcError(
    'NOT_FOUND',
    'TASK_UNKNOWN',
    `completing the task '${digestText(taskId)}': no such order was given to this node`,
  );
}
