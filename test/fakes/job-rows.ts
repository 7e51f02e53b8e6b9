// Many jobs and attempts as rows alone, for tests of what the database does with their number. A column's
// value is an SQL expression over the row's number `i`, from 1, and `now_ms`, the database's clock.
import { query } from '../../server/store/query.ts';
import type { EntityManager } from '../../server/store/store.ts';

type Columns = Readonly<Record<string, string>>;

const JOB: Columns = {
  job_id: `'j-' || i`,
  client_id: `'c-1'`,
  request_id: `'r-' || i`,
  body_digest: `''`,
  state: `'queued'`,
  revision: '1',
  module_digest: `''`,
  module_bytes: '1',
  input_digest: `''`,
  input_bytes: '1',
  entry: `'START'`,
  stdout_as_result: 'false',
  debug_logs: 'false',
  fuel_limit: '1',
  deadline_epochs: '1',
  memory_limit_bytes: '1',
  output_limit_bytes: '1',
  log_limit_bytes: '1',
  profile: `''`,
  profile_digest: `''`,
  price_base_microcents: '1',
  price_per_mib_module_microcents: '1',
  price_per_mib_io_microcents: '1',
  price_per_million_fuel_microcents: '1',
  price_share_basis_points: '1',
  seed: `''`,
  hold_microcents: '1',
  priority: '0',
  required_labels: `'{}'`,
  least_isolation_level: '0',
  queue_timeout_ms: '3600000',
  total_timeout_ms: '7200000',
  submit_request_id: `''`,
  submitted_ms: 'now_ms',
  queued_ms: 'now_ms',
  queue_end_ms: 'now_ms + 3600000',
};

const ATTEMPT: Columns = {
  attempt_id: `'a-' || i`,
  job_id: `'j-' || i`,
  fence: '1',
  node_id: `'n-1'`,
  state: `'completed'`,
  leased_ms: '1',
  acknowledge_by_ms: '1',
  lease_end_ms: '1',
  task_id: 'i::text::bytea',
  order_payload: `''`,
  order_key_id: `''`,
  order_chain_digest: `''`,
  node_key_id: `''`,
  node_chain_digest: `''`,
};

interface Rows {
  /** The last row's number. */
  readonly last: number;
  /** Every so manieth number has a row; each unless told otherwise. */
  readonly step?: number;
}

export async function insertJobRows(em: EntityManager, rows: Rows, columns: Columns = {}) {
  await insertRows(em, 'job', rows, { ...JOB, ...columns });
}

export async function insertAttemptRows(em: EntityManager, rows: Rows, columns: Columns = {}) {
  await insertRows(em, 'attempt', rows, { ...ATTEMPT, ...columns });
}

async function insertRows(
  em: EntityManager,
  table: string,
  { last, step = 1 }: Rows,
  columns: Columns,
): Promise<void> {
  const names = Object.keys(columns).map((name) => `"${name}"`);
  await query(
    em,
    `insert into ${table} (${names.join(', ')}) select ${Object.values(columns).join(', ')}
       from gap_junction_now_ms() as now_ms, generate_series(1, $1::int, $2::int) as i`,
    [last, step],
  );
}
