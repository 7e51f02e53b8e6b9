// What the release before stored is there after its update: jobs in every state, their money, blobs in both
// places with their keys, half an upload, modules and nodes.
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { digest } from '../../../protocol/bill/digest.ts';
import { sealChunk } from '../../../server/blobs/blob-cipher.ts';
import { DEFAULT_BLOB_LIMITS } from '../../../server/blobs/blob.ts';
import { type Blobs, createBlobs } from '../../../server/blobs/blobs.ts';
import { contentsInRows } from '../../../server/blobs/contents-in-rows.ts';
import { systemClock } from '../../../server/clock.ts';
import { cancelJob } from '../../../server/jobs/cancel-store.ts';
import { readJob } from '../../../server/jobs/job-store.ts';
import { findModule } from '../../../server/jobs/module-store.ts';
import { chooseJobs } from '../../../server/jobs/queue-store.ts';
import { balanceOf, creditClient, holdForJob } from '../../../server/ledger/ledger-store.ts';
import { readFleet } from '../../../server/nodes/liveness-store.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { query } from '../../../server/store/query.ts';
import type { EntityManager } from '../../../server/store/store.ts';
import { whenAll } from '../../all.ts';
import { makeOldPglite, makeOldPostgresql } from '../../fakes/old-store.ts';
import { type Postgresql, startPostgresql } from '../../fakes/postgresql.ts';

const CLIENT = 'c-old';
const HOLD = 1_000n;

const module = randomBytes(200);
const input = randomBytes(300);
const large = randomBytes(DEFAULT_BLOB_LIMITS.chunkBytes + 5);
const largeId = randomBytes(16).toString('hex');
const half = randomBytes(DEFAULT_BLOB_LIMITS.chunkBytes);
const halfId = randomBytes(16).toString('hex');
/** Of the half uploaded: its digest would be that of more. */
const halfDigest = randomBytes(32);
/** Of the module, the input, the large blob and the half upload. */
const keys = [randomBytes(32), randomBytes(32), randomBytes(32), randomBytes(32)] as const;

const seal = (key: Uint8Array, bytes: Uint8Array, index = 0) =>
  sealChunk({ key, index, bytes }, (length) => randomBytes(length));

async function fill(em: EntityManager): Promise<void> {
  await creditClient(em, {
    clientId: CLIENT,
    requestId: 'first',
    operatorId: 'o-old',
    microcents: 10_000n,
  });
  await query(em, `insert into client values ($1, 'old', 1)`, [CLIENT]);
  await fillBlobs(em);
  await query(em, `insert into module values ($1, $2, 200, true, false, 1, 1)`, [
    CLIENT,
    digest(module),
  ]);
  await fillJob(em, 'j-queued', 'queued');
  await fillJob(em, 'j-running', 'running');
  await fillJob(em, 'j-ended', 'ended');
  await query(
    em,
    `insert into attempt (attempt_id, job_id, fence, node_id, state, leased_ms, acknowledge_by_ms,
       lease_end_ms, task_id, order_payload, order_key_id, order_chain_digest, node_key_id, node_chain_digest)
     select 'a-running', 'j-running', 1, 'n-beating', 'acknowledged', now_ms, now_ms, now_ms + 60000,
            $1, $1, $1, $1, $1, $1 from gap_junction_now_ms() as now_ms`,
    [randomBytes(32)],
  );
  for (const [nodeId, lastBeat] of [
    ['n-beating', 'gap_junction_now_ms()'],
    ['n-new', 'null'],
  ] as const) {
    await query(
      em,
      `insert into node values ($1, 'acct_' || $1, 'enrolled', 1, 0, $2, $2, $2, 'aa', 1, ${lastBeat}, null,
         4, '1', '1', 0, 0)`,
      [nodeId, randomBytes(32)],
    );
  }
}

async function fillBlobs(em: EntityManager): Promise<void> {
  const insertBlob = `insert into blob (digest, size_bytes, key, sealed, content_id, created_ms)
    values ($1, $2, $3, $4, $5, 1)`;
  for (const [bytes, key] of [
    [module, keys[0]],
    [input, keys[1]],
  ] as const) {
    await query(em, insertBlob, [digest(bytes), bytes.length, key, seal(key, bytes), null]);
  }
  await query(em, insertBlob, [digest(large), large.length, keys[2], null, largeId]);
  const insertChunk = `insert into blob_chunk values ($1, $2, $3)`;
  const { chunkBytes } = DEFAULT_BLOB_LIMITS;
  const [first, rest] = [large.subarray(0, chunkBytes), large.subarray(chunkBytes)];
  await query(em, insertChunk, [largeId, 0, seal(keys[2], first)]);
  await query(em, insertChunk, [largeId, 1, seal(keys[2], rest, 1)]);
  await query(em, insertChunk, [halfId, 0, seal(keys[3], half)]);
  await query(
    em,
    `insert into blob_upload values ('client', $1, $2, $1, $3, $3, $4, $5, gap_junction_now_ms())`,
    [CLIENT, halfDigest, half.length * 2, keys[3], halfId],
  );
  const insertUse = `insert into blob_use values ($1, $2, $3, $4, $5, gap_junction_now_ms())`;
  for (const bytes of [module, input, large]) {
    await query(em, insertUse, [CLIENT, digest(bytes), 'client', CLIENT, 4096]);
  }
  for (const jobId of ['j-queued', 'j-running']) {
    await query(em, insertUse, [CLIENT, digest(module), 'job', jobId, 0]);
    await query(em, insertUse, [CLIENT, digest(input), 'job', jobId, 0]);
  }
}

async function fillJob(em: EntityManager, jobId: string, state: string): Promise<void> {
  await query(
    em,
    `insert into job (job_id, client_id, request_id, body_digest, state, revision, cancel_requested,
       module_digest, module_bytes, input_digest, input_bytes, entry, stdout_as_result, debug_logs, fuel_limit,
       deadline_epochs, memory_limit_bytes, output_limit_bytes, log_limit_bytes, profile, profile_digest,
       price_base_microcents, price_per_mib_module_microcents, price_per_mib_io_microcents,
       price_per_million_fuel_microcents, price_share_basis_points, seed, hold_microcents, submitted_ms,
       "end", end_detail, ended_ms)
     select $1::text, $2, $1::text, $3, $4::text, 1, $4::text = 'running', $3, 200, $5, 300, 'START', false, false, 7000,
       3000, 65536, 1024, 0, 'gj-1', $3, 1, 1, 1, 1, 8000, $3, $6::bigint, now_ms,
       case when $4::text = 'ended' then 'CANCELLED' end, case when $4::text = 'ended' then '' end,
       case when $4::text = 'ended' then now_ms end
       from gap_junction_now_ms() as now_ms`,
    [jobId, CLIENT, digest(module), state, digest(input), HOLD],
  );
  if (state !== 'ended') await holdForJob(em, { clientId: CLIENT, jobId, microcents: HOLD });
}

const OLD = { lastMigration: '0009-blobs', fill };
const OPTIONS = { clock: systemClock, exclusive: true };

function upgraded(database: string, open: () => Promise<OpenStore>): void {
  whenAll(`a store of the release before (${database})`, () => {
    let store: OpenStore;
    let blobs: Blobs;
    before(async () => {
      store = await open();
      blobs = createBlobs({
        store,
        contents: contentsInRows(store),
        clock: systemClock,
        limits: DEFAULT_BLOB_LIMITS,
        random: (bytes) => randomBytes(bytes),
      });
    });
    after(() => store.close());

    it('still opens every blob under the key that it was sealed under', async () => {
      for (const bytes of [module, input, large]) {
        const read = await blobs.readAll(digest(bytes), bytes.length);
        expect(Buffer.from(read).equals(bytes)).to.equal(true);
      }
    });

    it('has the keys in the table of keys alone, where they can be erased', async () => {
      await store.read((em) => query(em, 'checkpoint'));
      for (const table of ['blob', 'blob_upload']) {
        for (const key of keys) {
          const [file] = await store.read((em) =>
            query<{ at: number }>(
              em,
              `select position($1::bytea in pg_read_binary_file(pg_relation_filepath($2::text))) as at`,
              [key, table],
            ),
          );
          expect(file?.at, table).to.equal(0);
        }
      }
    });

    it('goes on with an upload where it was', async () => {
      const uploader = { kind: 'client', id: CLIENT, clientId: CLIENT } as const;
      expect(await blobs.uploadOffset(uploader, halfDigest)).to.deep.equal({
        offset: half.length,
        complete: false,
      });
    });

    it('keeps the modules that were registered', async () => {
      const found = await store.read((em) =>
        findModule(em, { clientId: CLIENT, digest: digest(module) }),
      );
      expect(found?.sizeBytes).to.equal(200n);
    });

    it('has the queue, and what each client uses of its quota', async () => {
      const chosen = await store.transaction((em) =>
        chooseJobs(em, { limit: 10, jobsInFlight: 10, excluded: [], cursors: [] }),
      );
      expect(chosen.jobIds).to.deep.equal(['j-queued']);
      const [use] = await store.read((em) =>
        query(
          em,
          `select queued_jobs, running_jobs, open_fuel::int as open_fuel from client_queue where client_id = $1`,
          [CLIENT],
        ),
      );
      expect(use).to.deep.include({ queued_jobs: 1, running_jobs: 1, open_fuel: 14_000 });
    });

    it('knows that a stop was asked for', async () => {
      const running = await store.read((em) =>
        readJob(em, { clientId: CLIENT, jobId: 'j-running' }),
      );
      expect(running?.job.cancelReason).to.equal('CLIENT');
      expect(running?.job.totalTimeoutMs).to.equal(null);
      expect(running?.job.attempts.map(({ attemptId }) => attemptId)).to.deep.equal(['a-running']);
    });

    it('has every node, and when each was heard', async () => {
      const fleet = await store.read((em) => readFleet(em, null));
      expect(
        fleet
          .map(({ nodeId, isLive }) => [nodeId, isLive] as const)
          .toSorted(([a], [b]) => (a < b ? -1 : 1)),
      ).to.deep.equal([
        ['n-beating', true],
        ['n-new', false],
      ]);
    });

    it('gives the hold of an old job back, once', async () => {
      const held = async () =>
        store.read(async (em) => (await balanceOf(em, CLIENT)).heldMicrocents);
      expect(await held()).to.equal(2n * HOLD);
      for (let times = 0; times < 2; times++) {
        await store.transaction((em) =>
          cancelJob(em, blobs, { clientId: CLIENT, jobId: 'j-queued' }),
        );
      }
      expect(await held()).to.equal(HOLD);
    });
  });
}

upgraded('PGlite', async () =>
  openStore({ kind: 'memory' }, { ...OPTIONS, template: await makeOldPglite(OLD) }),
);

describe('stores in PostgreSQL', () => {
  let postgresql: Postgresql | undefined;
  after(() => postgresql?.stop());
  upgraded('PostgreSQL', async () => {
    postgresql = await startPostgresql();
    const url = postgresql.newDatabase();
    await makeOldPostgresql(url, OLD);
    return openStore({ kind: 'postgresql', url }, OPTIONS);
  });
});
