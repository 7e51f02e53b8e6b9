import { digest, sameBytes } from '../../protocol/bill/digest.ts';
import type { CheckedReceipt } from '../../protocol/bill/receipt.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { Job } from '../jobs/jobs.ts';
import { RpcError } from '../rpc/error.ts';
import type { EntityManager } from '../store/store.ts';
import { receiptInvalid } from './receipt-check.ts';

export type OutputBlobs = Pick<Blobs, 'put' | 'claimOutput' | 'endJob'>;

/**
 * Makes what the receipt names the job's output: the bytes that came with it, or what the attempt uploaded
 * before. Throws RpcError OUTPUT_MISSING, and RECEIPT_INVALID where bytes and receipt differ.
 */
export async function keepOutput(
  em: EntityManager,
  blobs: OutputBlobs,
  {
    job,
    attemptId,
    receipt,
    inlineOutput,
  }: {
    readonly job: Job;
    readonly attemptId: string;
    readonly receipt: CheckedReceipt;
    readonly inlineOutput: Uint8Array | undefined;
  },
): Promise<void> {
  const { output } = receipt;
  if (inlineOutput !== undefined && inlineOutput.length > 0) {
    if (!sameBytes(digest(inlineOutput), output.digest)) {
      throw receiptInvalid('the output that came with it has another digest');
    }
    if (BigInt(inlineOutput.length) !== output.sizeBytes) {
      throw receiptInvalid('the output that came with it has another size');
    }
    const holder = { kind: 'output', id: job.jobId, clientId: job.clientId } as const;
    await blobs.put(em, { holder, bytes: inlineOutput });
    return;
  }
  if (output.sizeBytes === 0n) return;
  const claimed = await blobs.claimOutput(em, {
    clientId: job.clientId,
    attemptId,
    jobId: job.jobId,
    digest: output.digest,
  });
  if (claimed === null) {
    throw new RpcError(
      'FAILED_PRECONDITION',
      'OUTPUT_MISSING',
      `completing the attempt '${attemptId}': its output of ${output.sizeBytes} bytes is not here; upload it first`,
    );
  }
  if (BigInt(claimed.sizeBytes) !== output.sizeBytes) {
    throw receiptInvalid(
      `the output has ${claimed.sizeBytes} bytes, the receipt says ${output.sizeBytes}`,
    );
  }
}
