// The node's own copy of every bill that it was paid by. JSON Lines, `{"jobId": ..., "bill": ...}`, in
// segments that are appended to (making a file for each bill would cost more than the rest of a small job)
// and of which the oldest goes when there are too many.
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { fromJson, toJson, type JsonValue } from '@bufbuild/protobuf';

import { BillSchema, type Bill } from '#gen/gapjunction/job/v1/bill_pb';
import { PRIVATE_FILE_MODE } from '../durable-file.ts';

export interface BillStoreOptions {
  /** A segment that reaches this is followed by another. */
  readonly maxSegmentBytes: number;
  readonly maxSegments: number;
}

/** 7 KiB a bill: the last 75,000 of them; older ones stay at the control plane. */
export const DEFAULT_BILL_STORE: BillStoreOptions = {
  maxSegmentBytes: 32 * 2 ** 20,
  maxSegments: 16,
};

/** The number rises by one. */
const NAME = /^bills-(\d{9})\.jsonl$/;

export class BillStore {
  readonly #folder: string;
  readonly #options: BillStoreOptions;
  /** Oldest first; the last is written to. */
  readonly #segments: number[];
  #file: number | null = null;
  #sizeBytes = 0;

  constructor(folder: string, options: BillStoreOptions = DEFAULT_BILL_STORE) {
    this.#folder = folder;
    this.#options = options;
    this.#segments = segmentsIn(folder);
  }

  /** Keeps the bill. */
  keep(bill: Bill, { jobId }: { readonly jobId: string }): void {
    const line = `${JSON.stringify({ jobId, bill: toJson(BillSchema, bill) })}\n`;
    this.#file ??= this.#openLast();
    this.#sizeBytes += writeSync(this.#file, line);
    if (this.#sizeBytes < this.#options.maxSegmentBytes) return;
    this.close();
    this.#segments.push((this.#segments.at(-1) ?? 0) + 1);
    for (const old of this.#segments.splice(0, this.#segments.length - this.#options.maxSegments)) {
      rmSync(segmentFile(this.#folder, old), { force: true });
    }
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #openLast(): number {
    const [last = 1] = this.#segments.slice(-1);
    if (this.#segments.length === 0) this.#segments.push(last);
    const path = segmentFile(this.#folder, last);
    const file = openSync(path, 'a', PRIVATE_FILE_MODE);
    this.#sizeBytes = statSync(path).size;
    // A line that was half written when the agent was killed must not swallow the next.
    if (this.#sizeBytes > 0) this.#sizeBytes += writeSync(file, '\n');
    return file;
  }
}

/** The bill of this job, or null where it is not kept. Also while an agent writes. */
export function findBill(folder: string, jobId: string): Bill | null {
  for (const segment of segmentsIn(folder).toReversed()) {
    const lines = readFileSync(segmentFile(folder, segment), 'utf8').split('\n');
    const line = lines.find((text) => text.startsWith(`{"jobId":"${jobId}",`));
    if (line === undefined) continue;
    const bill = billIn(line);
    if (bill !== null) return bill;
  }
  return null;
}

/** Every bill that is kept, oldest first; one that was kept twice comes twice. Also while an agent writes. */
export function* billsIn(folder: string): Generator<Bill> {
  for (const segment of segmentsIn(folder)) {
    for (const line of readFileSync(segmentFile(folder, segment), 'utf8').split('\n')) {
      const bill = billIn(line);
      if (bill !== null) yield bill;
    }
  }
}

/** Null for a line that was half written. */
function billIn(line: string): Bill | null {
  try {
    const { bill } = JSON.parse(line) as { readonly bill: JsonValue };
    return fromJson(BillSchema, bill);
  } catch {
    return null;
  }
}

function segmentsIn(folder: string): number[] {
  return readdirSync(folder)
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((left, right) => left - right);
}

function segmentFile(folder: string, segment: number): string {
  return join(folder, `bills-${String(segment).padStart(9, '0')}.jsonl`);
}
