// The database goes away and comes back: callers are told to try again, and nobody has to restart a server.
import { expect } from 'chai';
import { listAuditEntries, recordAudit } from '../../../server/audit/audit-store.ts';
import { systemClock } from '../../../server/clock.ts';
import { expectedFailure } from '../../../server/store/failure.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { query } from '../../../server/store/query.ts';
import { RpcError } from '../../../server/rpc/error.ts';
import { whenAll } from '../../all.ts';
import { type Postgresql, startPostgresql } from '../../fakes/postgresql.ts';

/** Of the pool's 16: one holds the lock, one looks on. */
const AT_ONCE = 14;

const ACT = { actor: 'control-plane', action: 'TESTED', subject: 'x' };

describe('a failure of the database', () => {
  const failure = (code: string, message = 'x') => Object.assign(new Error(message), { code });

  it('is told as one to try again when the database is away, however it is wrapped', () => {
    for (const cause of [
      failure('57P01'),
      failure('08006'),
      failure('ECONNREFUSED'),
      new Error('Connection terminated unexpectedly'),
      new Error('wrapped by the ORM', { cause: failure('ECONNRESET') }),
    ]) {
      expect(expectedFailure(cause)).to.include({
        code: 'UNAVAILABLE',
        reason: 'DATABASE_UNAVAILABLE',
      });
    }
  });

  it('is told as such when the disk is full, or two transactions met', () => {
    expect(expectedFailure(failure('53100'))?.reason).to.equal('STORAGE_FULL');
    expect(expectedFailure(failure('ENOSPC'))?.reason).to.equal('STORAGE_FULL');
    expect(expectedFailure(failure('40P01'))?.reason).to.equal('TRANSACTION_CONFLICT');
  });

  it('stays what it is when it is a mistake of ours, or was told already', () => {
    expect(expectedFailure(failure('23505'))).to.equal(null);
    expect(expectedFailure(new RpcError('NOT_FOUND', 'NOT_FOUND', 'x'))).to.equal(null);
    expect(expectedFailure('thrown')).to.equal(null);
  });
});

whenAll('a store whose PostgreSQL goes away', () => {
  let postgresql: Postgresql;
  let store: OpenStore;
  let url: string;
  const losses: unknown[] = [];
  before(async () => {
    postgresql = await startPostgresql();
    url = postgresql.newDatabase();
    store = await openStore(
      { kind: 'postgresql', url },
      { clock: systemClock, exclusive: true, onLockLost: (cause) => losses.push(cause) },
    );
  });
  after(async () => {
    await store.close();
    postgresql.stop();
  });

  let written = 0;
  const write = async () => {
    await store.transaction((em) => recordAudit(em, ACT));
    written++;
  };
  const reasonOf = (work: Promise<unknown>) =>
    work.then(
      () => 'none',
      (error: unknown) => (error instanceof RpcError ? error.reason : error),
    );
  const count = () =>
    store.read(
      async (em) => (await listAuditEntries(em, { beforeEntryNumber: null, limit: 100 })).length,
    );

  it('says so to whoever is in the middle, and to all others until it is back, with all that was said', async () => {
    await write();
    const sleeping = Array.from({ length: AT_ONCE }, () =>
      reasonOf(
        store.transaction(async (em) => {
          await recordAudit(em, ACT);
          await query(em, 'select pg_sleep(60)');
        }),
      ),
    );
    await store.read(async (em) => {
      const sleepers = "select 1 from pg_stat_activity where wait_event = 'PgSleep'";
      while ((await query(em, sleepers)).length < sleeping.length) await query(em, 'select 1');
    });
    postgresql.crash();
    try {
      expect(new Set(await Promise.all(sleeping))).to.deep.equal(new Set(['DATABASE_UNAVAILABLE']));
      expect(await reasonOf(write())).to.equal('DATABASE_UNAVAILABLE');
      expect(await reasonOf(count())).to.equal('DATABASE_UNAVAILABLE');
    } finally {
      postgresql.start();
    }
    await write();
    expect(await count()).to.equal(written);
  });

  it('has as many connections as before', async () => {
    const allBegan = Promise.withResolvers<void>();
    let began = 0;
    await Promise.all(
      Array.from({ length: AT_ONCE }, () =>
        store.transaction(async (em) => {
          await query(em, 'select 1');
          if (++began === AT_ONCE) allBegan.resolve();
          await allBegan.promise;
        }),
      ),
    );
  });

  it('takes its lock again once the database is back: another server is still refused', async () => {
    await store.read(async (em) => {
      const holders = "select 1 from pg_locks where locktype = 'advisory' and granted";
      while ((await query(em, holders)).length === 0) await query(em, 'select pg_sleep(0.02)');
    });
    const second = await openStore(
      { kind: 'postgresql', url },
      { clock: systemClock, exclusive: true },
    ).catch((error: Error) => error.message);
    expect(second).to.contain('another server is using it');
    expect(losses).to.deep.equal([]);
  });

  it('lets no transaction stand still with its rows for more than 10 s', async () => {
    const [session] = await store.read((em) =>
      query<{ limit: string }>(
        em,
        "select current_setting('idle_in_transaction_session_timeout') as limit",
      ),
    );
    expect(session?.limit).to.equal('10s');
  });
});
