// The books in memory: what the ledger must say after any sequence of events.
import {
  type LedgerEvent,
  type Posting,
  postingsOf,
  transactionKey,
} from '../../../server/ledger/ledger.ts';

export class ReferenceBooks {
  readonly #balances = new Map<string, bigint>();
  readonly #posted = new Map<string, readonly Posting[]>();
  readonly #openHolds = new Map<string, { clientId: string; microcents: bigint }>();
  readonly #settledJobs = new Map<string, bigint>();

  balance(account: Posting['account'], holderId: string): bigint {
    return this.#balances.get(`${account}/${holderId}`) ?? 0n;
  }

  settledJobs(nodeId: string): bigint {
    return this.#settledJobs.get(nodeId) ?? 0n;
  }

  openHold(jobId: string): { clientId: string; microcents: bigint } | undefined {
    return this.#openHolds.get(jobId);
  }

  openJobs(): readonly string[] {
    return [...this.#openHolds.keys()];
  }

  postings(): ReadonlyMap<string, readonly Posting[]> {
    return this.#posted;
  }

  post(event: LedgerEvent): void {
    const postings = postingsOf(event);
    this.#posted.set(transactionKey(event), postings);
    for (const { account, holderId, microcents } of postings) {
      this.#balances.set(`${account}/${holderId}`, this.balance(account, holderId) + microcents);
    }
    if (event.kind === 'hold') this.#openHolds.set(event.jobId, event);
    if (event.kind === 'settle' || event.kind === 'release') this.#openHolds.delete(event.jobId);
    if (event.kind === 'settle') {
      this.#settledJobs.set(event.nodeId, this.settledJobs(event.nodeId) + 1n);
    }
  }
}
