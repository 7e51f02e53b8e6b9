// Replicas that do the same work at the same moment take its rows in one order: none is undone by PostgreSQL as
// the victim of a deadlock, a second later.
import { randomInt } from 'node:crypto';
import { expect } from 'chai';
import { deleteClientUses, deleteLeft, deleteUnnamed } from '../../../server/blobs/use-store.ts';
import { saveSignatures } from '../../../server/placement/completion-store.ts';
import { query } from '../../../server/store/query.ts';
import type { EntityManager } from '../../../server/store/store.ts';
import { onFilledPostgresql } from '../../fakes/filled-postgresql.ts';
import { insertAttemptRows, insertJobRows } from '../../fakes/job-rows.ts';

const ROUNDS = 30;
const JOBS = 64;

onFilledPostgresql('replicas at the same rows', fill, (store) => {
  /** Runs all at once, so often; answers what went wrong. */
  async function failures(
    prepare: (em: EntityManager) => Promise<unknown>,
    works: readonly ((em: EntityManager) => Promise<unknown>)[],
  ): Promise<readonly string[]> {
    const failed: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await store().transaction(prepare);
      const all = await Promise.allSettled(
        works.map((work) =>
          store().transaction(async (em) => {
            // As in a table that has grown.
            await query(
              em,
              `select set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true)`,
            );
            await work(em);
          }),
        ),
      );
      for (const one of all) if (one.status === 'rejected') failed.push(String(one.reason));
    }
    return failed;
  }

  it('sign the same settlements', async () => {
    const sign = async (em: EntityManager) => {
      const signatures = shuffled(jobIds).map((jobId) => ({
        jobId,
        settlementSignature: new Uint8Array(64),
        orderSignature: new Uint8Array(64),
      }));
      return saveSignatures(em, signatures);
    };
    const prepare = async (em: EntityManager) => query(em, `update job set state = 'settling'`);
    expect(await failures(prepare, [sign, sign, sign])).to.deep.equal([]);
  });

  it('give up uploads of the same clients', async () => {
    const prepare = async (em: EntityManager) =>
      query(
        em,
        `insert into blob_use (client_id, digest, holder_kind, holder_id, counted_bytes, since_ms)
         select 'c-' || c, sha256(d::text::bytea), 'client', 'c-' || c, 4096, (random() * 1000)::int
           from generate_series(1, 10) as d, generate_series(1, 10) as c order by random()
         on conflict do nothing`,
      );
    const giveUp = async (em: EntityManager) =>
      deleteUnnamed(em, { unnamedUploadMs: 1, limit: 30 });
    expect(await failures(prepare, [giveUp, giveUp, giveUp])).to.deep.equal([]);
  });

  it('erase what jobs left of a blob that its client deletes', async () => {
    const digest = Buffer.alloc(32, 1);
    const prepare = async (em: EntityManager) =>
      query(
        em,
        `insert into blob_use (client_id, digest, holder_kind, holder_id, counted_bytes, since_ms)
         select 'c-1', $1, 'output', job_id, 4096, 1 from job order by random() on conflict do nothing`,
        [digest],
      );
    const erase = async (em: EntityManager) =>
      deleteLeft(
        em,
        shuffled(jobIds).map((jobId) => ({
          jobId,
          clientId: 'c-1',
          digests: [digest],
          attemptIds: [],
        })),
      );
    const remove = async (em: EntityManager) =>
      deleteClientUses(em, { clientId: 'c-1', digest }).catch((cause: unknown) => {
        if (!String(cause).includes('none of yours')) throw cause;
      });
    expect(await failures(prepare, [erase, remove, remove])).to.deep.equal([]);
  });
});

const jobIds = Array.from({ length: JOBS }, (_, index) => `j-${index + 1}`);

function shuffled<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, key: randomInt(2 ** 30) }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

async function fill(em: EntityManager): Promise<void> {
  await insertJobRows(
    em,
    { last: JOBS },
    { state: `'settling'`, end: `'SUCCEEDED'`, end_detail: `''`, ended_ms: '1' },
  );
  await insertAttemptRows(em, { last: JOBS }, { ended_ms: '1' });
  await query(
    em,
    `insert into bill (job_id, attempt_id, receipt_payload, receipt_signature, receipt_key_id,
       receipt_chain_digest, settlement_payload, settlement_key_id, settlement_chain_digest)
     select 'j-' || i, 'a-' || i, '', '', '', '', '', '', '' from generate_series(1, $1::int) as i`,
    [JOBS],
  );
  await query(
    em,
    `insert into blob (digest, size_bytes, key_id, sealed, created_ms)
     select digest, 4096, encode(digest, 'hex'), '\\x00', 1
       from (select sha256(d::text::bytea) as digest from generate_series(1, 10) as d
             union all select $1::bytea) as digests`,
    [Buffer.alloc(32, 1)],
  );
}
