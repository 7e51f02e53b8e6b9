// What the checks judge: the rows of the database when a simulation is over.
import type { EntityManager } from '../../../server/store/store.ts';
import { query } from '../../../server/store/query.ts';

export interface JobRow {
  readonly job_id: string;
  readonly client_id: string;
  readonly request_id: string;
  readonly state: string;
  readonly end: string | null;
  readonly ended_ms: number | null;
  readonly submitted_ms: number;
  readonly hold_microcents: bigint;
  readonly charge_microcents: bigint | null;
  readonly input_digest: Uint8Array;
  readonly output_digest: Uint8Array | null;
  readonly fuel: bigint | null;
  readonly fuel_limit: bigint;
  readonly seed: Uint8Array;
}

export interface AttemptRow {
  readonly attempt_id: string;
  readonly job_id: string;
  readonly node_id: string;
  readonly fence: number;
  readonly state: string;
  readonly failure: string | null;
  readonly leased_ms: number;
  readonly acknowledge_by_ms: number;
  readonly lease_end_ms: number;
  readonly task_id: Uint8Array;
  readonly order_payload: Uint8Array;
}

export interface BillRow {
  readonly job_id: string;
  readonly attempt_id: string;
  readonly settlement_payload: Uint8Array;
}

/** A state that a job or an attempt took on, in the order of commits. */
export interface Step {
  readonly what: 'job' | 'attempt';
  readonly id: string;
  /** Null at its beginning. */
  readonly was: string | null;
  readonly became: string;
  /** A job's revision, an attempt's failure. */
  readonly detail: string | null;
  readonly at_ms: number;
}

export interface PostingRow {
  readonly transaction_key: string;
  readonly kind: string;
  readonly account: string;
  readonly holder_id: string;
  readonly microcents: bigint;
}

export interface BalanceRow {
  readonly holder_id: string;
  readonly account: string;
  readonly microcents: bigint;
}

/** What a client uses of its quotas. */
export interface ClientQueueRow {
  readonly client_id: string;
  readonly queued_jobs: number;
  readonly running_jobs: number;
  readonly open_fuel: bigint;
}

/** Bytes that the control plane keeps. */
export interface BlobRow {
  readonly digest: Uint8Array;
  readonly key_id: string;
}

export interface Rows {
  readonly jobs: readonly JobRow[];
  readonly attempts: readonly AttemptRow[];
  readonly bills: readonly BillRow[];
  readonly steps: readonly Step[];
  readonly postings: readonly PostingRow[];
  readonly balances: readonly BalanceRow[];
  readonly clientQueues: readonly ClientQueueRow[];
  readonly blobs: readonly BlobRow[];
  /** Of all contents, also of uploads that are under way. */
  readonly logs: readonly { readonly job_id: string; readonly key_id: string }[];
  readonly contentKeys: readonly { readonly key_id: string }[];
}

export async function readRows(em: EntityManager): Promise<Rows> {
  return {
    jobs: (await rowsOf(em, 'job', 'job_id')) as unknown as JobRow[],
    attempts: (await rowsOf(em, 'attempt', 'job_id, fence')) as unknown as AttemptRow[],
    bills: (await rowsOf(em, 'bill', 'job_id')) as unknown as BillRow[],
    steps: (await rowsOf(em, 'simulated_history', 'step')) as unknown as Step[],
    postings: (await rowsOf(
      em,
      'ledger_posting join ledger_transaction using (transaction_key)',
      'transaction_key, account, holder_id',
    )) as unknown as PostingRow[],
    balances: (await rowsOf(
      em,
      `(${BALANCES}) balance`,
      'holder_id, account',
    )) as unknown as BalanceRow[],
    clientQueues: (await rowsOf(em, 'client_queue', 'client_id')) as unknown as ClientQueueRow[],
    blobs: (await rowsOf(em, 'blob', 'digest')) as unknown as BlobRow[],
    logs: (await rowsOf(em, 'attempt_log', 'attempt_id')) as unknown as {
      job_id: string;
      key_id: string;
    }[],
    contentKeys: (await rowsOf(em, 'content_key', 'key_id')) as unknown as { key_id: string }[],
  };
}

const BALANCES = `
  select client_id as holder_id, 'client_available' as account, available_microcents as microcents
    from client_balance
  union all select client_id, 'client_held', held_microcents from client_balance
  union all select node_id, 'node_pending', pending_microcents from node_balance`;

const BIGINTS = /_microcents$|^microcents$|^fuel$|_fuel$|^fuel_limit$/;
const TIMES = /_ms$/;

/** int8 comes as text: money and fuel as bigint, times as numbers. */
async function rowsOf(
  em: EntityManager,
  from: string,
  order: string,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const rows = await query<Record<string, unknown>>(em, `select * from ${from} order by ${order}`);
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => {
        if (typeof value !== 'string') return [name, value];
        if (BIGINTS.test(name)) return [name, BigInt(value)];
        return [name, TIMES.test(name) ? Number(value) : value];
      }),
    ),
  );
}
