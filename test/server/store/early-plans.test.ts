// A statement is planned once a connection, maybe before there was anything in its tables. What one job needs
// is found by its own key all the same, however many jobs its client has by then.
import { expect } from 'chai';
import { systemClock } from '../../../server/clock.ts';
import { lockJobs, readJob } from '../../../server/jobs/job-store.ts';
import { creditClient, holdForJob, releaseJob } from '../../../server/ledger/ledger-store.ts';
import { lockTask, saveSignatures } from '../../../server/placement/completion-store.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { query } from '../../../server/store/query.ts';
import type { EntityManager } from '../../../server/store/store.ts';
import { whenAll } from '../../all.ts';
import { insertAttemptRows, insertJobRows } from '../../fakes/job-rows.ts';
import { startPostgresql, type Postgresql } from '../../fakes/postgresql.ts';

const ROWS = 2_000;
/** PostgreSQL plans the first five times anew. */
const UNTIL_A_PLAN_IS_KEPT = 10;

const clientId = 'c-1';
const jobId = 'j-7';
/** A job of the client, or none where there is none yet. */
const LOOKS: Readonly<Record<string, (em: EntityManager) => Promise<unknown>>> = {
  'a job': (em) => readJob(em, { clientId, jobId }),
  'a job to change': (em) => lockJobs(em, [jobId]),
  'the task of a receipt': (em) =>
    lockTask(em, { taskId: Buffer.from('task7'), nodeId: 'n-7' }).catch(() => null),
  'what to sign': (em) =>
    saveSignatures(em, [
      { jobId, settlementSignature: Uint8Array.of(1), orderSignature: Uint8Array.of(2) },
    ]),
  'a hold to give back': (em) => releaseJob(em, { clientId, jobId }).catch(() => null),
};

whenAll('plans that were made for empty tables', () => {
  let postgresql: Postgresql;
  let store: OpenStore;
  before(async () => {
    postgresql = await startPostgresql();
    const location = { kind: 'postgresql', url: postgresql.newDatabase() } as const;
    store = await openStore(location, { clock: systemClock, exclusive: true });
    for (const look of Object.values(LOOKS)) {
      for (let time = 0; time < UNTIL_A_PLAN_IS_KEPT; time++) await store.transaction(look);
    }
    await store.transaction(fill);
  });
  after(async () => {
    await store.close();
    postgresql.stop();
  });

  for (const [what, look] of Object.entries(LOOKS)) {
    it(`find ${what} without reading all that the client has`, async () => {
      const read = await store.transaction(async (em) => {
        const before = await rowsRead(em);
        await look(em);
        return (await rowsRead(em)) - before;
      });
      expect(read).to.be.within(1, 30);
    });
  }
});

/** By this connection, as far as it has not told the statistics of it. */
async function rowsRead(em: EntityManager): Promise<number> {
  const [answer] = await query<{ sum: number }>(
    em,
    'select sum(seq_tup_read + idx_tup_fetch)::int from pg_stat_xact_user_tables',
  );
  return answer?.sum ?? Number.NaN;
}

async function fill(em: EntityManager): Promise<void> {
  await insertJobRows(em, { last: ROWS }, { client_id: `'${clientId}'` });
  await insertAttemptRows(
    em,
    { last: ROWS },
    { node_id: `'n-' || i`, task_id: `('task' || i)::bytea` },
  );
  await creditClient(em, { clientId, requestId: 'r', operatorId: 'o', microcents: BigInt(ROWS) });
  for (let job = 1; job <= ROWS; job++) {
    await holdForJob(em, { clientId, jobId: `j-${job}`, microcents: 1n });
  }
}
