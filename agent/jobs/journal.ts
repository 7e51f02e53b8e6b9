// Receipts that the control plane has not answered yet. A receipt is written here before it is sent, so an
// agent that is killed in between sends the very same one again.
//
// One file that is appended to, since making a file costs a hundred times more than appending to one.
// Nothing is synced: the system keeps what a killed process wrote, and after a power loss the attempt has
// gone missing from the beats anyway and runs elsewhere. A record that is torn says so by its digest; it
// can only be the last one. The file is emptied whenever nothing is left to hand in.
//
//   record  = SHA-256 of the rest (32) || kind (1) || length (4) || body
//   RECEIPT = attempt id (22) || bill length (4) || Bill without settlement || output
//   LOGS    = attempt id (22) || what the guest logged; before its receipt, where it logged anything
//   ERASED  = attempt id (22)
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  writevSync,
} from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';

import { BillSchema, type Bill } from '#gen/gapjunction/job/v1/bill_pb';
import { digestOf, sameBytes } from '../../protocol/bill/digest.ts';
import { decodeReceipt } from '../../protocol/bill/receipt.ts';
import { MalformedPayload } from '../../protocol/bill/strict-decode.ts';
import { taskIdOf } from '../../protocol/bill/task-id.ts';
import { decodeWorkOrder } from '../../protocol/bill/work-order.ts';
import { isId } from '../../protocol/identity/ids.ts';
import { PRIVATE_FILE_MODE } from '../durable-file.ts';
import type { SignedReceipt } from './receipt.ts';

const FILE = 'receipts.log';
const DIGEST_BYTES = 32;
const HEADER_BYTES = DIGEST_BYTES + 1 + 4;
const ID_BYTES = 22;
/** The longest output, and a bill with room. */
const MAX_BODY_BYTES = 64 * 2 ** 20 + 2 ** 20;
/** Above this, and when most of it is erased, the file is written anew. */
const COMPACT_BYTES = 64 * 2 ** 20;

const Kind = { RECEIPT: 1, ERASED: 2, LOGS: 3 } as const;

interface Place {
  readonly at: number;
  readonly bytes: number;
}

export class Journal {
  readonly #path: string;
  #file: number;
  #sizeBytes = 0;
  readonly #places = new Map<string, Place>();
  readonly #logPlaces = new Map<string, Place>();
  /** Bytes of a record that was half written when the agent was killed; 0 where there was none. */
  readonly tornBytes: number;

  constructor(folder: string) {
    this.#path = join(folder, FILE);
    this.#file = openLog(this.#path);
    this.tornBytes = this.#readAll();
    this.#emptyWhenDone();
  }

  /** `logs`: what the guest logged, which may not all have been sent. */
  write({ attemptId, bill, output }: SignedReceipt, logs: Uint8Array = new Uint8Array()): void {
    if (logs.length > 0) this.#append(Kind.LOGS, attemptId, [logs]);
    const binary = toBinary(BillSchema, create(BillSchema, bill));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(binary.length);
    this.#append(Kind.RECEIPT, attemptId, [length, binary, output]);
  }

  /** The receipt of this attempt, or null where there is none. */
  read(attemptId: string): SignedReceipt | null {
    const place = this.#places.get(attemptId);
    if (place === undefined) return null;
    const body = this.#record(place.at)?.body;
    if (body === undefined) return null;
    const billAt = ID_BYTES + 4;
    const outputAt = billAt + body.readUInt32BE(ID_BYTES);
    return receiptOf(
      fromBinary(BillSchema, body.subarray(billAt, outputAt)),
      body.subarray(outputAt),
    );
  }

  /** What the guest of this attempt logged. */
  readLogs(attemptId: string): Uint8Array {
    const place = this.#logPlaces.get(attemptId);
    const body = place === undefined ? undefined : this.#record(place.at)?.body;
    return body?.subarray(ID_BYTES) ?? new Uint8Array();
  }

  /** Without effect where there is none. */
  erase(attemptId: string): void {
    if (!this.#places.has(attemptId)) return;
    this.#append(Kind.ERASED, attemptId, []);
    this.#emptyWhenDone();
    const live = [...this.#places.values(), ...this.#logPlaces.values()];
    const liveBytes = live.reduce((sum, { bytes }) => sum + bytes, 0);
    if (this.#sizeBytes > COMPACT_BYTES && liveBytes < this.#sizeBytes / 2) this.#compact();
  }

  /** Attempts whose receipts are here. */
  attemptIds(): string[] {
    return [...this.#places.keys()];
  }

  close(): void {
    closeSync(this.#file);
  }

  #append(kind: number, attemptId: string, parts: readonly Uint8Array[]): void {
    const head = Buffer.alloc(5);
    const body = [Buffer.from(attemptId, 'latin1'), ...parts];
    head[0] = kind;
    head.writeUInt32BE(
      body.reduce((sum, { length }) => sum + length, 0),
      1,
    );
    const record = [digestOf(head, ...body), head, ...body];
    const bytes = record.reduce((sum, { length }) => sum + length, 0);
    // A disk that is full leaves a torn record, and this attempt without a receipt.
    if (writevSync(this.#file, record, this.#sizeBytes) !== bytes) {
      throw new Error(`writing a receipt into '${this.#path}': the disk is full`);
    }
    this.#note(kind, attemptId, { at: this.#sizeBytes, bytes });
    this.#sizeBytes += bytes;
  }

  #note(kind: number, attemptId: string, place: Place): void {
    if (kind === Kind.RECEIPT) this.#places.set(attemptId, place);
    else if (kind === Kind.LOGS) this.#logPlaces.set(attemptId, place);
    else {
      this.#places.delete(attemptId);
      this.#logPlaces.delete(attemptId);
    }
  }

  /** Inputs and outputs go with their attempts: nothing stays on disk that nobody waits for. */
  #emptyWhenDone(): void {
    if (this.#places.size > 0 || this.#sizeBytes === 0) return;
    ftruncateSync(this.#file, 0);
    this.#sizeBytes = 0;
    // Logs whose receipt was torn.
    this.#logPlaces.clear();
  }

  /** Answers how many bytes at the end are no whole record; they are cut off. */
  #readAll(): number {
    for (let record = this.#record(0); record !== null; record = this.#record(this.#sizeBytes)) {
      const attemptId = record.body.toString('latin1', 0, ID_BYTES);
      this.#note(record.kind, attemptId, { at: this.#sizeBytes, bytes: record.bytes });
      this.#sizeBytes += record.bytes;
    }
    const tornBytes = fstatSync(this.#file).size - this.#sizeBytes;
    if (tornBytes > 0) ftruncateSync(this.#file, this.#sizeBytes);
    return tornBytes;
  }

  /** The whole record that starts there, or null. */
  #record(at: number): { kind: number; body: Buffer; bytes: number } | null {
    const header = Buffer.alloc(HEADER_BYTES);
    if (readSync(this.#file, header, 0, HEADER_BYTES, at) < HEADER_BYTES) return null;
    const length = header.readUInt32BE(DIGEST_BYTES + 1);
    if (length < ID_BYTES || length > MAX_BODY_BYTES) return null;
    const body = Buffer.alloc(length);
    if (readSync(this.#file, body, 0, length, at + HEADER_BYTES) < length) return null;
    const digest = digestOf(header.subarray(DIGEST_BYTES), body);
    if (!sameBytes(header.subarray(0, DIGEST_BYTES), digest)) return null;
    if (!isId('a', body.toString('latin1', 0, ID_BYTES))) return null;
    return { kind: header[DIGEST_BYTES] ?? 0, body, bytes: HEADER_BYTES + length };
  }

  /** Writes what is left into a new file, which takes the place of the old one when it is whole. */
  #compact(): void {
    const kept = this.attemptIds().flatMap((attemptId) => {
      const receipt = this.read(attemptId);
      return receipt === null ? [] : [{ receipt, logs: this.readLogs(attemptId) }];
    });
    const old = this.#file;
    this.#file = openLog(`${this.#path}.new`);
    ftruncateSync(this.#file, 0);
    this.#sizeBytes = 0;
    this.#logPlaces.clear();
    for (const { receipt, logs } of kept) this.write(receipt, logs);
    renameSync(`${this.#path}.new`, this.#path);
    closeSync(old);
  }
}

/** For reading and writing, made where it is missing. */
function openLog(path: string): number {
  closeSync(openSync(path, 'a', PRIVATE_FILE_MODE));
  return openSync(path, 'r+');
}

/** What was signed says the rest; both were checked when they were written. */
function receiptOf(bill: Bill, output: Uint8Array): SignedReceipt | null {
  const { workOrder, receipt } = bill;
  if (workOrder === undefined || receipt === undefined) return null;
  try {
    const { attemptId, jobId } = decodeWorkOrder(workOrder.payload);
    const { end, endDetail } = decodeReceipt(receipt.payload);
    const taskId = taskIdOf(workOrder.payload);
    const named = { taskId, attemptId, jobId, requestId: '' };
    return { ...named, end, endDetail, output, bill: { ...bill, receipt } };
  } catch (cause) {
    // Written by another version of this program.
    if (cause instanceof MalformedPayload) return null;
    throw cause;
  }
}
