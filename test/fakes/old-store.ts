// A database as an earlier release left it: its migrations up to that release's last, and rows in it.
import { PGlite } from '@electric-sql/pglite';
import { MikroORM, type Options } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { PgliteDriver, type SqlEntityManager } from '@mikro-orm/pglite';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { entities } from '../../server/store/entities.ts';
import { migrations } from '../../server/store/migrations.ts';
import type { EntityManager } from '../../server/store/store.ts';

export interface Old {
  readonly lastMigration: string;
  /** Writes its rows. */
  readonly fill: (em: EntityManager) => Promise<void>;
}

/** In an empty database of a PostgreSQL. */
export async function makeOldPostgresql(url: string, old: Old): Promise<void> {
  await make(old, { driver: PostgreSqlDriver, clientUrl: url } as Partial<Options>);
}

/** In a PGlite; answers its dump, for `openStore`. */
export async function makeOldPglite(old: Old): Promise<Blob> {
  const pglite = await PGlite.create('memory://');
  try {
    const connection = { driver: PgliteDriver, dbName: 'memory://' };
    let dump: Blob | null = null;
    // The driver closes what it was given.
    await make(
      old,
      { ...connection, driverOptions: { pglite: () => pglite } } as Partial<Options>,
      async () => {
        dump = await pglite.dumpDataDir('none');
      },
    );
    if (dump === null) throw new Error('dumping an old database: nothing came');
    return dump;
  } finally {
    if (!pglite.closed) await pglite.close();
  }
}

async function make(
  { lastMigration, fill }: Old,
  connection: Partial<Options>,
  afterwards: () => Promise<void> = async () => {},
): Promise<void> {
  const orm = await MikroORM.init({
    ...connection,
    entities,
    extensions: [Migrator],
    migrations: {
      migrationsList: migrations,
      silent: true,
      snapshot: false,
      tableName: 'migration',
    },
    discovery: { warnWhenNoEntities: false },
  });
  try {
    await orm.migrator.up({ to: lastMigration });
    await fill(orm.em.fork() as unknown as SqlEntityManager as EntityManager);
    await afterwards();
  } finally {
    await orm.close(true);
  }
}
