// The node's own copy of every bill that it was paid by: a JSON file each, as `gap-junction bill verify`
// reads them. Names sort by time, so the oldest is the first.
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Bill } from '#gen/gapjunction/job/v1/bill_pb';
import { writeBillFile } from '../../protocol/bill/bill-file.ts';
import { PRIVATE_FILE_MODE } from '../durable-file.ts';

/** 8 KiB each, so 160 MB; older ones stay at the control plane. */
export const MAX_KEPT_BILLS = 20_000;

const NAME = /^\d{15}-j-[a-z2-7]{20}\.json$/;
const TIME_DIGITS = 15;

export class BillStore {
  readonly #folder: string;
  readonly #maxBills: number;
  /** Oldest first, from `#first` on. */
  readonly #names: string[];
  #first = 0;

  constructor(folder: string, { maxBills = MAX_KEPT_BILLS }: { readonly maxBills?: number } = {}) {
    this.#folder = folder;
    this.#maxBills = maxBills;
    this.#names = readdirSync(folder)
      .filter((name) => NAME.test(name))
      .toSorted();
  }

  /** Keeps the bill and answers its file; the oldest goes when there are too many. */
  keep(
    bill: Bill,
    { jobId, settledMs }: { readonly jobId: string; readonly settledMs: bigint },
  ): string {
    const name = `${String(settledMs).padStart(TIME_DIGITS, '0')}-${jobId}.json`;
    const path = join(this.#folder, name);
    writeFileSync(path, writeBillFile(bill), { mode: PRIVATE_FILE_MODE });
    this.#names.push(name);
    while (this.#names.length - this.#first > this.#maxBills) {
      rmSync(join(this.#folder, this.#names[this.#first] as string), { force: true });
      this.#first++;
    }
    // Shifting an array of thousands for every bill would cost more than the bill.
    if (this.#first > this.#maxBills) {
      this.#names.splice(0, this.#first);
      this.#first = 0;
    }
    return path;
  }
}
