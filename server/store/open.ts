// Opens the database that the configuration names, brings its tables up to date, and takes the lock that
// keeps a second server away while parts of the control plane live in this process.
import { MikroORM, type Options } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { PgliteDriver } from '@mikro-orm/pglite';
import { PostgreSqlDriver, type SqlEntityManager } from '@mikro-orm/postgresql';
import type { Clock } from '../clock.ts';
import { takeAdvisoryLock } from './advisory-lock.ts';
import { entities } from './entities.ts';
import { lockFolder } from './folder-lock.ts';
import type { StoreLocation } from './location.ts';
import { migrations } from './migrations.ts';
import type { EntityManager, Store } from './store.ts';

export interface OpenOptions {
  readonly clock: Clock;
  /**
   * Refuse to share the database with another server, as long as nonces, limits or wake-ups live in the
   * memory of this one. Always so in a folder.
   */
  readonly exclusive: boolean;
  /** The lock was lost with its connection: another server may have taken it, so this one has to stop. */
  readonly onLockLost?: (cause: unknown) => void;
  /** The dump of a PGlite with these tables, for a new store: skips its slow first start. */
  readonly template?: Blob;
}

export interface OpenStore extends Store {
  readonly orm: MikroORM;
}

/** Connections of one server to PostgreSQL. PGlite has one. */
const MAX_POSTGRESQL_CONNECTIONS = 16;

/** int8 as text, as PostgreSQL's driver has it: PGlite would answer a number that loses digits. */
const PGLITE_PARSERS = { 20: (text: string) => text };

/** Throws when the database cannot be reached, another server holds it, or a migration fails. */
export async function openStore(location: StoreLocation, options: OpenOptions): Promise<OpenStore> {
  const folderLock = location.kind === 'folder' ? lockFolder(location.path) : null;
  let orm: MikroORM | null = null;
  try {
    orm = await MikroORM.init({ ...ormOptions, ...databaseOptions(location, options.template) });
    const advisoryLock =
      location.kind === 'postgresql' && options.exclusive
        ? await takeAdvisoryLock(
            orm.em as unknown as EntityManager,
            options.clock,
            options.onLockLost,
          )
        : null;
    await orm.migrator.up();
    return storeOf(orm, location, async () => {
      await advisoryLock?.release();
      await orm?.close(true);
      folderLock?.release();
    });
  } catch (cause) {
    await orm?.close(true);
    folderLock?.release();
    throw cause;
  }
}

const ormOptions: Partial<Options> = {
  entities,
  extensions: [Migrator],
  migrations: { migrationsList: migrations, silent: true, snapshot: false, tableName: 'migration' },
  discovery: { warnWhenNoEntities: false },
  // Triggers and functions are written by hand in the migrations.
  schemaGenerator: { ignoreTriggers: true, ignoreRoutines: true },
  debug: false,
};

function databaseOptions(location: StoreLocation, template: Blob | undefined): Partial<Options> {
  switch (location.kind) {
    case 'memory':
    case 'folder':
      return {
        driver: PgliteDriver,
        dbName: location.kind === 'memory' ? 'memory://' : `${location.path}/pglite`,
        driverOptions: {
          parsers: PGLITE_PARSERS,
          ...(template === undefined ? {} : { loadDataDir: template }),
        },
      } as Partial<Options>;
    case 'postgresql':
      return {
        driver: PostgreSqlDriver,
        clientUrl: location.url,
        pool: { min: 0, max: MAX_POSTGRESQL_CONNECTIONS },
      } as Partial<Options>;
    default:
      return location satisfies never;
  }
}

function storeOf(orm: MikroORM, location: StoreLocation, close: () => Promise<void>): OpenStore {
  // Both drivers speak PostgreSQL; their EntityManagers differ in nothing but the driver's name.
  const fork = () => orm.em.fork() as unknown as SqlEntityManager as EntityManager;
  return {
    orm,
    kind: location.kind === 'postgresql' ? 'postgresql' : 'pglite',
    transaction: async (work) => fork().transactional(work),
    read: async (work) => work(fork()),
    close,
  };
}
