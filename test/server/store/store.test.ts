import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { listAuditEntries, recordAudit } from '../../../server/audit/audit-store.ts';
import { systemClock } from '../../../server/clock.ts';
import { LockRefused, SINGLE_SERVER_LOCK } from '../../../server/store/advisory-lock.ts';
import { databaseNowMs } from '../../../server/store/now.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { query } from '../../../server/store/query.ts';
import { whenAll } from '../../all.ts';
import { type Postgresql, startPostgresql } from '../../fakes/postgresql.ts';
import { storeTemplate } from '../../fakes/store-template.ts';
import { onEachStore } from '../../fakes/stores.ts';

const ACT = { actor: 'control-plane', action: 'TESTED', subject: 'x' };
const OPTIONS = { clock: systemClock, exclusive: true };

onEachStore('the store', (store) => {
  it('has the tables that the entities describe: migrations forget nothing', async () => {
    expect(await store().orm.schema.getUpdateSchemaSQL()).to.equal('');
  });

  it('has one clock, which moves within a transaction', async () => {
    await store().transaction(async (em) => {
      const first = await databaseNowMs(em);
      await query(em, 'select pg_sleep(0.005)');
      expect(await databaseNowMs(em)).to.be.greaterThan(first);
    });
  });

  it('keeps nothing of a transaction that threw', async () => {
    const count = () => store().read(async (em) => (await listAuditEntries(em, ALL)).length);
    const before = await count();
    const failed = await store()
      .transaction(async (em) => {
        await recordAudit(em, ACT);
        throw new Error('thrown by the test');
      })
      .catch((error: Error) => error.message);
    expect(failed).to.equal('thrown by the test');
    expect(await count()).to.equal(before);
  });

  it('answers a bigint beyond 2^53 without losing a digit, and bytes as bytes', async () => {
    const [row] = await store().read((em) =>
      query<{ big: string; bytes: Uint8Array }>(
        em,
        'select 9223372036854775807::bigint as big, $1::bytea as bytes',
        [Uint8Array.of(0, 1, 255)],
      ),
    );
    expect(row?.big).to.equal('9223372036854775807');
    expect([...(row?.bytes ?? [])]).to.deep.equal([0, 1, 255]);
  });

  it('keeps its plans over a union in brackets: planning all anew each second would cost more than they do', async () => {
    const plans = async () =>
      store().transaction(async (em) => {
        await query(em, 'select 1 as one');
        await query(em, '(select 1 as one) union all (select 2)');
        const [row] = await query<{ kept: number }>(
          em,
          "select count(*)::int as kept from pg_prepared_statements where statement = 'select 1 as one'",
        );
        return row?.kept ?? 0;
      });
    expect(await plans()).to.equal(1);
  });

  it('changes no audit entry, whoever asks', async () => {
    await store().transaction((em) => recordAudit(em, ACT));
    for (const sql of [
      "update audit_entry set actor = 'nobody'",
      'delete from audit_entry',
      'truncate audit_entry',
    ]) {
      const refused = await store()
        .transaction((em) => query(em, sql))
        .catch((error: Error) => error.message);
      expect(refused, sql).to.contain('audit entries are never changed');
    }
  });
});

const ALL = { beforeEntryNumber: null, limit: 1000 };

describe('a store in a folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gap-junction-store-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const open = async () =>
    openStore({ kind: 'folder', path: folder }, { ...OPTIONS, template: await storeTemplate() });

  it('is there again after it was closed, and is nobody else’s while it is open', async () => {
    const first = await open();
    await first.transaction((em) => recordAudit(em, ACT));
    const second = await open().catch((error: Error) => error.message);
    expect(second).to.contain(`opening the data folder '${folder}': another server is using it`);
    await first.close();
    const again = await open();
    const entries = await again.read((em) => listAuditEntries(em, ALL));
    expect(entries.map(({ action }) => action)).to.deep.equal(['TESTED']);
    await again.close();
  });

  it('that a killed first start left half made is made anew', async () => {
    mkdirSync(join(folder, 'pglite'));
    writeFileSync(join(folder, 'pglite', 'PG_VERSION'), '17');
    const store = await open();
    expect(existsSync(join(folder, 'pglite.ready'))).to.equal(true);
    expect(await store.read((em) => listAuditEntries(em, ALL))).to.deep.equal([]);
    await store.close();
  });
});

whenAll('a store in PostgreSQL', () => {
  let postgresql: Postgresql;
  before(async () => {
    postgresql = await startPostgresql();
  });
  after(() => postgresql.stop());

  const open = (url: string, options = {}): Promise<OpenStore> =>
    openStore({ kind: 'postgresql', url }, { ...OPTIONS, ...options });

  it('is refused to a second server, as long as both keep state in their memory', async () => {
    const url = postgresql.newDatabase();
    const first = await open(url);
    const second = await open(url).catch((error: Error) => error.message);
    expect(second).to.contain('another server is using it').and.to.contain('GJ_DATABASE_URL');
    const replica = await open(url, { exclusive: false }).catch((error: Error) => error.message);
    expect(replica).to.contain('a server without GJ_REDIS_URL is using it');
    await first.close();
    await (await open(url)).close();
  });

  it('is shared by replicas, and refused to a server that keeps state in its memory', async () => {
    const url = postgresql.newDatabase();
    const replicas = [await open(url, SHARED), await open(url, SHARED)];
    const single = await open(url).catch((error: Error) => error.message);
    expect(single).to.contain('another server is using it').and.to.contain('GJ_REDIS_URL');
    for (const replica of replicas) await replica.close();
    await (await open(url)).close();
  });

  it('lets one replica at a time make what the first one makes for all', async () => {
    const url = postgresql.newDatabase();
    const replicas = [await open(url, SHARED), await open(url, SHARED)];
    let inside = 0;
    const most = await Promise.all(
      replicas.map((replica) =>
        replica.alone(async () => {
          const seen = ++inside;
          await replica.read((em) => query(em, 'select pg_sleep(0.02)'));
          inside--;
          return seen;
        }),
      ),
    );
    expect(most).to.deep.equal([1, 1]);
    for (const replica of replicas) await replica.close();
  });

  it('is brought up to date once by replicas that start together', async () => {
    const url = postgresql.newDatabase();
    const replicas = await Promise.all([1, 2, 3].map(() => open(url, SHARED)));
    for (const replica of replicas) await replica.close();
  });

  it('takes its lock again when the session that held it is gone, as after a restart', async () => {
    const url = postgresql.newDatabase();
    const store = await open(url, {
      onLockLost: () => {
        throw new Error('nobody else wanted the lock');
      },
    });
    await store.read(async (em) => {
      const holders = async () => (await query<{ pid: number }>(em, HOLDERS)).map(({ pid }) => pid);
      const [first] = await holders();
      await query(em, END_HOLDERS);
      // A session that is told to end holds its lock until it has.
      while (!(await holders()).some((pid) => pid !== first)) {
        await query(em, 'select pg_sleep(0.02)');
      }
    });
    const second = await open(url).catch((error: Error) => error.message);
    expect(second).to.contain('another server is using it');
    await store.close();
  });

  it('tells the server when another one took its lock meanwhile', async () => {
    const url = postgresql.newDatabase();
    const lost = Promise.withResolvers<unknown>();
    const store = await open(url, { onLockLost: lost.resolve });
    await store.transaction(async (em) => {
      await query(em, END_HOLDERS);
      await query(em, `select pg_advisory_xact_lock(${SINGLE_SERVER_LOCK.key})`);
      expect(await lost.promise).to.be.instanceOf(LockRefused);
    });
    await store.close();
  });
});

const SHARED = { exclusive: false };

const HOLDERS = `select pid from pg_locks where locktype = 'advisory' and granted
  and database = (select oid from pg_database where datname = current_database())`;
const END_HOLDERS = `select pg_terminate_backend(pid) from (${HOLDERS}) as holder`;
