// Receipts that the control plane has not answered yet, one file each. A receipt is written here before it
// is sent, so an agent that is killed in between sends the very same one again. One write and no sync: the
// system keeps what a killed process wrote, and after a power loss the attempt has gone missing from the
// beats anyway and runs elsewhere. A file that is torn says so by its digest and is dropped.
//
//   SHA-256 of the rest (32) || bill length (4) || Bill without settlement || output
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';

import { BillSchema, type Bill } from '#gen/gapjunction/job/v1/bill_pb';
import { digestOf, sameBytes } from '../../protocol/bill/digest.ts';
import { decodeReceipt } from '../../protocol/bill/receipt.ts';
import { MalformedPayload } from '../../protocol/bill/strict-decode.ts';
import { taskIdOf } from '../../protocol/bill/task-id.ts';
import { decodeWorkOrder } from '../../protocol/bill/work-order.ts';
import { isId } from '../../protocol/identity/ids.ts';
import { PRIVATE_FILE_MODE, readFileIfThere } from '../durable-file.ts';
import type { SignedReceipt } from './receipt.ts';

const DIGEST_BYTES = 32;
const HEADER_BYTES = DIGEST_BYTES + 4;
const SUFFIX = '.receipt';

export class Journal {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  write({ attemptId, bill, output }: SignedReceipt): void {
    const binary = toBinary(BillSchema, create(BillSchema, bill));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(binary.length);
    writeFileSync(
      this.#file(attemptId),
      Buffer.concat([digestOf(length, binary, output), length, binary, output]),
      { mode: PRIVATE_FILE_MODE },
    );
  }

  /** The receipt of this attempt, or null where there is none that is whole. */
  read(attemptId: string): SignedReceipt | null {
    const bytes = readFileIfThere(this.#file(attemptId));
    if (bytes === null || bytes.length < HEADER_BYTES) return null;
    if (!sameBytes(bytes.subarray(0, DIGEST_BYTES), digestOf(bytes.subarray(DIGEST_BYTES)))) {
      return null;
    }
    const outputAt = HEADER_BYTES + bytes.readUInt32BE(DIGEST_BYTES);
    const bill = fromBinary(BillSchema, bytes.subarray(HEADER_BYTES, outputAt));
    return receiptOf(bill, bytes.subarray(outputAt));
  }

  /** Its input and output end here with it. */
  erase(attemptId: string): void {
    rmSync(this.#file(attemptId), { force: true });
  }

  /** Attempts that have a file, whole or torn. */
  attemptIds(): string[] {
    return readdirSync(this.#folder)
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => name.slice(0, -SUFFIX.length))
      .filter((attemptId) => isId('a', attemptId));
  }

  #file(attemptId: string): string {
    return join(this.#folder, `${attemptId}${SUFFIX}`);
  }
}

/** What was signed says the rest; both were checked when they were written. */
function receiptOf(bill: Bill, output: Uint8Array): SignedReceipt | null {
  const { workOrder, receipt } = bill;
  if (workOrder === undefined || receipt === undefined) return null;
  try {
    const { attemptId, jobId } = decodeWorkOrder(workOrder.payload);
    const { end, endDetail } = decodeReceipt(receipt.payload);
    const taskId = taskIdOf(workOrder.payload);
    return { taskId, attemptId, jobId, end, endDetail, output, bill: { ...bill, receipt } };
  } catch (cause) {
    // Written by another version of this program.
    if (cause instanceof MalformedPayload) return null;
    throw cause;
  }
}
