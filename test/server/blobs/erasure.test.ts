// Two transactions at one blob, interleaved by hand: needs a database that has more than one at a time.
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { DEFAULT_BLOB_LIMITS } from '../../../server/blobs/blob.ts';
import { type Blobs, createBlobs } from '../../../server/blobs/blobs.ts';
import { contentsInRows } from '../../../server/blobs/contents-in-rows.ts';
import { rewriteKeys } from '../../../server/blobs/content-key-store.ts';
import { eraseUnused } from '../../../server/blobs/erasure-store.ts';
import { systemClock } from '../../../server/clock.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { query } from '../../../server/store/query.ts';
import { whenAll } from '../../all.ts';
import { type Postgresql, startPostgresql } from '../../fakes/postgresql.ts';

whenAll('erasing a blob while another comes to use it', () => {
  let postgresql: Postgresql;
  let store: OpenStore;
  let blobs: Blobs;
  before(async () => {
    postgresql = await startPostgresql();
    const location = { kind: 'postgresql', url: postgresql.newDatabase() } as const;
    store = await openStore(location, { clock: systemClock, exclusive: true });
    blobs = createBlobs({
      store,
      contents: contentsInRows(store),
      clock: systemClock,
      limits: DEFAULT_BLOB_LIMITS,
      random: (bytes) => randomBytes(bytes),
    });
  });
  after(async () => {
    await store.close();
    postgresql.stop();
  });

  const job = (id: string) => ({ kind: 'job', id, clientId: 'c-a' }) as const;

  async function unusedBlob(): Promise<{ bytes: Uint8Array; digest: Uint8Array }> {
    const bytes = randomBytes(50);
    const { digest } = await store.transaction(async (em) => {
      const put = await blobs.put(em, { holder: job('j-a'), bytes });
      await blobs.endUses(em, { holder: job('j-a'), digests: [put.digest] });
      return put;
    });
    return { bytes, digest };
  }

  it('leaves it to a job that is about to use it', async () => {
    const { bytes, digest } = await unusedBlob();
    await store.transaction(async (em) => {
      await blobs.put(em, { holder: job('j-b'), bytes });
      expect(await eraseUnused(store, { limit: 10 })).to.have.property('erased', 0);
    });
    expect(Buffer.from(await blobs.readAll(digest, 100))).to.deep.equal(Buffer.from(bytes));
  });

  it('looks again at what it passed over, when the job came to nothing', async () => {
    const { bytes, digest } = await unusedBlob();
    const submitting = store.transaction(async (em) => {
      await blobs.put(em, { holder: job('j-d'), bytes });
      await eraseUnused(store, { limit: 10 });
      throw new Error('the balance is too low');
    });
    expect(await submitting.catch(String)).to.match(/too low/);
    await blobs.sweep();
    expect(await blobs.open(digest)).to.equal(null);
  });

  it('stores it anew for a job that came too late for it', async () => {
    const { bytes, digest } = await unusedBlob();
    const erased = Promise.withResolvers<void>();
    // A store whose transaction ends only after the other one has begun to wait.
    const late = Promise.withResolvers<void>();
    const slow: OpenStore = {
      ...store,
      transaction: (work) =>
        store.transaction(async (em) => {
          const answer = await work(em);
          erased.resolve();
          await late.promise;
          return answer;
        }),
    };
    const erasing = eraseUnused(slow, { limit: 10, digest });
    await erased.promise;
    const putting = store.transaction((em) => blobs.put(em, { holder: job('j-c'), bytes }));
    late.resolve();
    expect(await erasing).to.have.property('erased', 1);
    await putting;
    expect(Buffer.from(await blobs.readAll(digest, 100))).to.deep.equal(Buffer.from(bytes));
  });

  it('rewrites the keys while others store and erase, and loses none that is needed', async () => {
    const rounds = Array.from({ length: 40 }, async (_, round) => {
      const bytes = randomBytes(50);
      const holder = job(`j-rewritten-${round}`);
      const { digest } = await store.transaction((em) => blobs.put(em, { holder, bytes }));
      const gone = await unusedBlob();
      await eraseUnused(store, { limit: 1, digest: gone.digest });
      // One at a time rewrites; the others pass it over.
      if (round % 4 === 0) await rewriteKeys(store, { leastIntervalMs: 0 });
      const stored = await blobs.readAll(digest, 100);
      expect(Buffer.from(stored)).to.deep.equal(Buffer.from(bytes));
    });
    await Promise.all(rounds);
    const [ends] = await store.read((em) =>
      query<{ count: number }>(em, 'select count(*)::int as count from content_key_end'),
    );
    // Those of the last minute stay for one more rewriting.
    expect(ends?.count).to.be.greaterThan(0);
  });

  it('lets everybody at the keys while a backup reads them: it waits for its lock once in minutes', async () => {
    await store.read((em) =>
      query(em, 'update content_key_rewriting set rewritten_ms = 0, took_ms = 0'),
    );
    const { digest } = await unusedBlob();
    await eraseUnused(store, { limit: 1, digest });
    const rewrite = () => rewriteKeys(store, { leastIntervalMs: 0 });
    await store.transaction(async (backup) => {
      await query(backup, 'lock table content_key in access share mode');
      expect(await rewrite().catch(String)).to.contain('lock timeout');
      expect(await rewrite()).to.equal(false);
    });
  });

  it('loses to a use that comes between its look and its erasure, and does no harm', async () => {
    const rounds = Array.from({ length: 40 }, async (_, round) => {
      const { bytes, digest } = await unusedBlob();
      const holder = job(`j-round-${round}`);
      const [used] = await Promise.allSettled([
        store.transaction((em) => blobs.put(em, { holder, bytes })),
        eraseUnused(store, { limit: 1, digest }),
      ]);
      // Either the use stands and the bytes are there, or the caller was told.
      if (used.status === 'fulfilled') await blobs.readAll(digest, 100);
      else expect(used.reason).to.have.property('reason', 'BLOB_ERASED');
    });
    await Promise.all(rounds);
  });
});
