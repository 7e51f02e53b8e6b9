// The line to the database drops everything, and closes nothing.
import { expect } from 'chai';
import { listAuditEntries, recordAudit } from '../../../server/audit/audit-store.ts';
import { systemClock } from '../../../server/clock.ts';
import { RpcError } from '../../../server/rpc/error.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { query } from '../../../server/store/query.ts';
import { whenAll } from '../../all.ts';
import { type Postgresql, startPostgresql } from '../../fakes/postgresql.ts';
import { TcpProxy } from '../../fakes/tcp-proxy.ts';

const ACT = { actor: 'control-plane', action: 'TESTED', subject: 'x' };

/** Of the pool's 16: one holds the lock, one looks on. */
const AT_ONCE = 14;

whenAll('a store whose PostgreSQL is cut off', () => {
  let postgresql: Postgresql;
  let proxy: TcpProxy;
  let store: OpenStore;
  const losses: unknown[] = [];
  before(async () => {
    postgresql = await startPostgresql();
    const url = new URL(postgresql.newDatabase());
    proxy = await TcpProxy.open(Number(url.port));
    url.port = String(proxy.port);
    store = await openStore(
      { kind: 'postgresql', url: url.href },
      {
        clock: systemClock,
        exclusive: false,
        answerTimeoutMs: 3_000,
        onLockLost: (cause) => losses.push(cause),
      },
    );
  });
  after(async () => {
    await store.close();
    await proxy.close();
    postgresql.stop();
  });

  let written = 0;
  const write = async () => {
    await store.transaction((em) => recordAudit(em, ACT));
    written++;
  };
  const count = () =>
    store.read(
      async (em) => (await listAuditEntries(em, { beforeEntryNumber: null, limit: 100 })).length,
    );
  const reasonOf = (work: Promise<unknown>) =>
    work.then(
      () => 'none',
      (error: unknown) => (error instanceof RpcError ? error.reason : error),
    );

  it('tells whoever waits, and all who come, to try again; nobody waits for ever', async () => {
    proxy.mend();
    await write();
    const began = Array.from({ length: AT_ONCE }, () => Promise.withResolvers<void>());
    const isCut = Promise.withResolvers<void>();
    const waiting = began.map(({ resolve }) =>
      reasonOf(
        store.transaction(async (em) => {
          await recordAudit(em, ACT);
          resolve();
          await isCut.promise;
          await query(em, 'select 1');
        }),
      ),
    );
    await Promise.all(began.map(({ promise }) => promise));
    proxy.cut();
    isCut.resolve();
    expect(new Set(await Promise.all(waiting))).to.deep.equal(new Set(['DATABASE_UNAVAILABLE']));
    expect(await reasonOf(write())).to.equal('DATABASE_UNAVAILABLE');
    expect(await reasonOf(count())).to.equal('DATABASE_UNAVAILABLE');
  });

  it('goes on when the line is there again, with as many connections, and nothing that was half done', async () => {
    proxy.mend();
    await write();
    expect(await count()).to.equal(written);
    await Promise.all(
      Array.from({ length: AT_ONCE }, () => store.transaction((em) => query(em, 'select 1'))),
    );
    expect(losses).to.deep.equal([]);
  });

  it('is given up by the database as well, with its locks', async () => {
    const [session] = await store.read((em) =>
      query<{ idle: string; count: string }>(
        em,
        "select current_setting('tcp_keepalives_idle') as idle, current_setting('tcp_keepalives_count') as count",
      ),
    );
    expect(session).to.deep.equal({ idle: '10', count: '3' });
  });
});
