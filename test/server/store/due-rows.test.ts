// What runs each second looks at what is due, not at all that is kept: tables of jobs and attempts only grow.
import { expect } from 'chai';
import { giveUpStale } from '../../../server/blobs/upload-store.ts';
import { deleteUnnamed } from '../../../server/blobs/use-store.ts';
import { systemClock } from '../../../server/clock.ts';
import { giveUpOverdue } from '../../../server/jobs/retention-store.ts';
import { readLeasesToEnd, readOverdueJobs } from '../../../server/placement/lease-store.ts';
import { readAttemptNews } from '../../../server/placement/work-stream-store.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { query } from '../../../server/store/query.ts';
import type { EntityManager } from '../../../server/store/store.ts';
import { whenAll } from '../../all.ts';
import { type Postgresql, startPostgresql } from '../../fakes/postgresql.ts';

const HOUR_MS = 3_600_000;
const ROWS = 20_000;
/** With fewer, to read the whole index is as good. */
const ATTEMPTS = 100_000;

whenAll('what is due among many rows', () => {
  let postgresql: Postgresql;
  let store: OpenStore;
  before(async () => {
    postgresql = await startPostgresql();
    const location = { kind: 'postgresql', url: postgresql.newDatabase() } as const;
    store = await openStore(location, { clock: systemClock, exclusive: true });
    await store.transaction(fill);
    await store.read((em) => query(em, 'vacuum analyze'));
  });
  after(async () => {
    await store.close();
    postgresql.stop();
  });

  /** Rows that one transaction fetched from our tables. */
  const rowsRead = async (work: (em: EntityManager) => Promise<unknown>) =>
    measured(work, 'select sum(seq_tup_read + idx_tup_fetch)::int from pg_stat_xact_user_tables');

  /** Blocks of indices of attempts that one transaction read. */
  const blocksRead = async (work: (em: EntityManager) => Promise<unknown>) =>
    measured(
      work,
      `select sum(pg_stat_get_xact_blocks_fetched(indexrelid))::int from pg_index where indrelid = 'attempt'::regclass`,
    );

  async function measured(work: (em: EntityManager) => Promise<unknown>, measure: string) {
    return store.transaction(async (em) => {
      await work(em);
      const [answer] = await query<{ sum: number }>(em, measure);
      return answer?.sum ?? Number.NaN;
    });
  }

  it('finds no job that waited or ran for too long without reading those that did not', async () => {
    expect(await rowsRead(readOverdueJobs)).to.be.lessThan(10);
  });

  it('finds the leases that are over, and those to be cancelled, without reading all that hold or held one', async () => {
    const found = { overdue: [] as readonly string[], toCancel: [] as readonly string[] };
    const read = await rowsRead(async (em) => {
      const { overdue, toCancel } = await readLeasesToEnd(em);
      found.overdue = overdue.map(({ attemptId }) => attemptId);
      found.toCancel = toCancel.map(({ attemptId }) => attemptId).toSorted();
    });
    expect(found).to.deep.equal({
      overdue: ['a-open-9', 'a-open-5'],
      toCancel: ['a-open-13', 'a-open-17'],
    });
    expect(read).to.be.lessThan(20);
  });

  it('finds no output to erase without reading all that are kept', async () => {
    const blobs = { giveUpLeft: async () => undefined };
    const overdue = { outputRetentionMs: HOUR_MS, limit: 100 };
    expect(await rowsRead((em) => giveUpOverdue(em, blobs, overdue))).to.be.lessThan(10);
  });

  it('finds no upload to give up without reading all others', async () => {
    const unnamed = { unnamedUploadMs: HOUR_MS, limit: 100 };
    expect(await rowsRead((em) => deleteUnnamed(em, unnamed))).to.be.lessThan(10);
    expect(await rowsRead((em) => giveUpStale(em, HOUR_MS))).to.be.lessThan(10);
  });

  it('tells a node of its attempts without passing those of all other nodes', async () => {
    const news = { nodeId: 'n-7', attemptIds: ['a-7'] };
    // To plan it looks at the ends of each index, which is most of these; an index has hundreds.
    expect(await blocksRead((em) => readAttemptNews(em, news))).to.be.lessThan(50);
  });
});

async function fill(em: EntityManager): Promise<void> {
  await query(
    em,
    `insert into job (job_id, client_id, request_id, body_digest, state, revision, module_digest, module_bytes,
       input_digest, input_bytes, entry, stdout_as_result, debug_logs, fuel_limit, deadline_epochs,
       memory_limit_bytes, output_limit_bytes, log_limit_bytes, profile, profile_digest, price_base_microcents,
       price_per_mib_module_microcents, price_per_mib_io_microcents, price_per_million_fuel_microcents,
       price_share_basis_points, seed, hold_microcents, priority, required_labels, least_isolation_level,
       queue_timeout_ms, total_timeout_ms, submit_request_id, submitted_ms, queued_ms, queue_end_ms, "end",
       end_detail, ended_ms)
     select 'j-' || i, 'c-' || i % 100, 'r-' || i, '', state, 1, '', 1, '', 1, 'START', false, false, 1, 1, 1, 1,
       1, '', '', 1, 1, 1, 1, 1, '', 1, 0, '{}', 0, 3600000, 7200000, '', now_ms, now_ms, now_ms + 3600000,
       case state when 'ended' then 'SUCCEEDED' end, case state when 'ended' then '' end,
       case state when 'ended' then now_ms end
       from gap_junction_now_ms() as now_ms, generate_series(1, $1::int) as i,
         lateral (select case i % 4 when 0 then 'queued' when 1 then 'running' else 'ended' end as state) s`,
    [ROWS],
  );
  await query(
    em,
    `insert into attempt (attempt_id, job_id, fence, node_id, state, leased_ms, acknowledge_by_ms, lease_end_ms,
       ended_ms, task_id, order_payload, order_key_id, order_chain_digest, node_key_id, node_chain_digest)
     select 'a-' || i, 'j-' || i, 1, 'n-' || i % 5000, 'completed', 1, 1, 1, 1, i::text::bytea, '', '', '', '', ''
       from generate_series(1, $1::int) as i`,
    [ATTEMPTS],
  );
  // Every running job holds a lease. Two are overdue, and two are to be cancelled.
  await query(
    em,
    `insert into attempt (attempt_id, job_id, fence, node_id, state, leased_ms, acknowledge_by_ms, lease_end_ms,
       ended_ms, task_id, order_payload, order_key_id, order_chain_digest, node_key_id, node_chain_digest)
     select 'a-open-' || i, 'j-' || i, 2, 'n-' || i % 5000, case i when 5 then 'leased' else 'acknowledged' end,
       1, case i when 5 then 20 else 1 end, case i when 9 then 10 else gap_junction_now_ms() + 3600000 end,
       null, ('open' || i)::bytea, '', '', '', '', ''
       from generate_series(1, $1::int, 4) as i`,
    [ROWS],
  );
  await query(
    em,
    `update job set cancel_reason = 'CLIENT' where job_id in ('j-13', 'j-17', 'j-9')`,
  );
  await query(
    em,
    `insert into blob (digest, size_bytes, key_id, sealed, created_ms) values ('\\x00', 1, 'k', '\\x00', 1)`,
  );
  await query(
    em,
    `insert into blob_use (client_id, digest, holder_kind, holder_id, counted_bytes, since_ms)
     select 'c-' || i, '\\x00', 'client', 'c-' || i, 0, gap_junction_now_ms()
       from generate_series(1, $1::int) as i`,
    [ROWS],
  );
  await query(
    em,
    `insert into blob_upload (holder_kind, holder_id, digest, client_id, size_bytes, counted_bytes, content_id,
       last_byte_ms, turn)
     select 'client', 'c-' || i, '\\x00', 'c-' || i, 1, 0, i::text, gap_junction_now_ms(), 1
       from generate_series(1, $1::int) as i`,
    [ROWS],
  );
}
