// What became of the jobs, as the database and the nodes' own bills say: read when all faults are over.
import { openStore, type OpenStore } from '../../server/store/open.ts';
import { query } from '../../server/store/query.ts';
import { systemClock } from '../../server/clock.ts';
import { ledgerSum } from '../../server/ledger/ledger-store.ts';

export interface JobFate {
  readonly jobId: string;
  readonly state: string;
  /** Null until it has ended. */
  readonly end: string | null;
  readonly attempts: number;
  readonly completedAttempts: number;
  readonly bills: number;
  /** Transactions of the ledger that settle it, and that release its hold. */
  readonly settlements: number;
  readonly releases: number;
}

export interface Books {
  readonly fates: ReadonlyMap<string, JobFate>;
  /** Over all postings; 0 when they are even. */
  readonly sumMicrocents: bigint;
  /** Of all clients; 0 when every job has ended. */
  readonly heldMicrocents: bigint;
}

export interface Verdict {
  /** Acknowledged jobs that have ended. */
  readonly ended: number;
  /** Acknowledged jobs that have not, or are not there. */
  readonly lost: readonly string[];
  /** Jobs that were paid for more than once. */
  readonly paidTwice: readonly string[];
  readonly notSucceeded: readonly string[];
  readonly tried: { readonly jobs: number; readonly attempts: number };
  /** What else does not add up. */
  readonly problems: readonly string[];
}

/** Reads a PostgreSQL database that replicas are using. */
export class BooksReader {
  readonly #store: OpenStore;

  private constructor(store: OpenStore) {
    this.#store = store;
  }

  static async open(url: string): Promise<BooksReader> {
    const location = { kind: 'postgresql', url } as const;
    return new BooksReader(await openStore(location, { clock: systemClock, exclusive: false }));
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  /** Jobs that have not ended. */
  async openJobs(): Promise<number> {
    return this.#store.read(async (em) => {
      const rows = await query<{ open: string }>(
        em,
        `select count(*)::text as open from job where state <> 'ended'`,
      );
      return Number(rows[0]?.open);
    });
  }

  async books(): Promise<Books> {
    return this.#store.read(async (em) => {
      const rows = await query<Record<keyof JobFate, string> & { end: string | null }>(em, FATES);
      const held = await query<{ held: string }>(
        em,
        'select coalesce(sum(held_microcents), 0)::text as held from client_balance',
      );
      return {
        fates: new Map(rows.map((row) => [row.jobId, fateOf(row)])),
        sumMicrocents: await ledgerSum(em),
        heldMicrocents: BigInt(held[0]?.held ?? 0),
      };
    });
  }
}

const FATES = `
  select job.job_id as "jobId", job.state, job."end",
    (select count(*) from attempt where attempt.job_id = job.job_id)::text as attempts,
    (select count(*) from attempt
      where attempt.job_id = job.job_id and attempt.state = 'completed')::text as "completedAttempts",
    (select count(*) from bill where bill.job_id = job.job_id)::text as bills,
    (select count(*) from ledger_transaction
      where kind = 'settle' and closes_key = 'hold:' || job.job_id)::text as settlements,
    (select count(*) from ledger_transaction
      where kind = 'release' and closes_key = 'hold:' || job.job_id)::text as releases
  from job`;

function fateOf(row: Record<keyof JobFate, string> & { end: string | null }): JobFate {
  return {
    jobId: row.jobId,
    state: row.state,
    end: row.end,
    attempts: Number(row.attempts),
    completedAttempts: Number(row.completedAttempts),
    bills: Number(row.bills),
    settlements: Number(row.settlements),
    releases: Number(row.releases),
  };
}

/**
 * Judges the acknowledged jobs by the books, and by which attempts of each job the nodes hold a bill of
 * (`paidAttempts`, by job): a node keeps a bill only when it was told that it is paid.
 */
export function judge(
  acknowledged: readonly string[],
  { fates, sumMicrocents, heldMicrocents }: Books,
  paidAttempts: ReadonlyMap<string, ReadonlySet<string>>,
): Verdict {
  const lost = acknowledged.filter((jobId) => fates.get(jobId)?.state !== 'ended');
  const all = [...fates.values()];
  const paidTwice = all
    .filter(
      ({ jobId, completedAttempts, bills, settlements }) =>
        Math.max(completedAttempts, bills, settlements, paidAttempts.get(jobId)?.size ?? 0) > 1,
    )
    .map(({ jobId }) => jobId);
  const problems: string[] = [];
  if (sumMicrocents !== 0n) problems.push(`the postings sum to ${sumMicrocents}`);
  if (heldMicrocents !== 0n) problems.push(`${heldMicrocents} microcents are held for no job`);
  for (const { jobId, state, bills, settlements, releases } of all) {
    if (state !== 'ended') continue;
    if (bills !== settlements || settlements + releases !== 1) {
      problems.push(
        `${jobId} has ${bills} bills, ${settlements} settlements, ${releases} releases`,
      );
    }
  }
  for (const jobId of paidAttempts.keys()) {
    if ((fates.get(jobId)?.bills ?? 0) === 0) problems.push(`a node was paid for ${jobId} alone`);
  }
  return {
    ended: acknowledged.length - lost.length,
    lost,
    paidTwice,
    notSucceeded: all
      .filter(({ state, end }) => state === 'ended' && end !== 'SUCCEEDED')
      .map(({ jobId, end }) => `${jobId} ${end}`),
    tried: { jobs: all.length, attempts: all.reduce((sum, { attempts }) => sum + attempts, 0) },
    problems,
  };
}
