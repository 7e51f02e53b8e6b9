// What runs each second looks at what is due, not at all that is kept: tables of jobs and attempts only grow.
import { expect } from 'chai';
import { giveUpStale } from '../../../server/blobs/upload-store.ts';
import { deleteUnnamed } from '../../../server/blobs/use-store.ts';
import { giveUpOverdue } from '../../../server/jobs/retention-store.ts';
import { readLeasesToEnd, readOverdueJobs } from '../../../server/placement/lease-store.ts';
import { readAttemptNews } from '../../../server/placement/work-stream-store.ts';
import { query } from '../../../server/store/query.ts';
import type { EntityManager } from '../../../server/store/store.ts';
import { onFilledPostgresql } from '../../fakes/filled-postgresql.ts';
import { insertAttemptRows, insertJobRows } from '../../fakes/job-rows.ts';

const HOUR_MS = 3_600_000;
const ROWS = 20_000;
/** With fewer, to read the whole index is as good. */
const ATTEMPTS = 100_000;

onFilledPostgresql('what is due among many rows', fill, (store) => {
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
    return store().transaction(async (em) => {
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
  const ended = (value: string) => `case when i % 4 > 1 then ${value} end`;
  await insertJobRows(
    em,
    { last: ROWS },
    {
      client_id: `'c-' || i % 100`,
      state: `case i % 4 when 0 then 'queued' when 1 then 'running' else 'ended' end`,
      end: ended(`'SUCCEEDED'`),
      end_detail: ended(`''`),
      ended_ms: ended('now_ms'),
    },
  );
  const node_id = `'n-' || i % 5000`;
  await insertAttemptRows(em, { last: ATTEMPTS }, { node_id, ended_ms: '1' });
  // Every running job holds a lease. Two are overdue, and two are to be cancelled.
  await insertAttemptRows(
    em,
    { last: ROWS, step: 4 },
    {
      attempt_id: `'a-open-' || i`,
      fence: '2',
      node_id,
      state: `case i when 5 then 'leased' else 'acknowledged' end`,
      acknowledge_by_ms: 'case i when 5 then 20 else 1 end',
      lease_end_ms: 'case i when 9 then 10 else now_ms + 3600000 end',
      task_id: `('open' || i)::bytea`,
    },
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
