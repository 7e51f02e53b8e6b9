// Opens the database that the configuration names, brings its tables up to date, and takes the lock that
// tells servers that share it from one that keeps parts of the control plane in its own memory.
import { PGlite } from '@electric-sql/pglite';
import { MikroORM, type Options } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { PgliteDriver } from '@mikro-orm/pglite';
import { PostgreSqlDriver, type SqlEntityManager } from '@mikro-orm/postgresql';
import type { Clock } from '../clock.ts';
import { Stops } from '../stops.ts';
import {
  MIGRATION_LOCK,
  REPLICA_LOCK,
  SINGLE_SERVER_LOCK,
  START_LOCK,
  takeAdvisoryLock,
} from './advisory-lock.ts';
import { ANSWER_TIMEOUT_MS, AnswerBound } from './answer-bound.ts';
import { DiskRoom, freeBytesAt } from './disk-room.ts';
import { entities } from './entities.ts';
import { expectedFailure } from './failure.ts';
import { lockFolder } from './folder-lock.ts';
import { keepAdvisoryLock } from './kept-lock.ts';
import type { StoreLocation } from './location.ts';
import { migrations } from './migrations.ts';
import { pgliteFolder, type PgliteFolder } from './pglite-folder.ts';
import { PreparedPglite } from './prepared-pglite.ts';
import { prepareStatements } from './prepared-postgresql.ts';
import { query } from './query.ts';
import type { EntityManager, Store } from './store.ts';

export interface OpenOptions {
  readonly clock: Clock;
  /**
   * Refuse to share the database with another server, as long as nonces, limits or wake-ups live in the
   * memory of this one. Always so in a folder. Otherwise only such a server is refused, and refuses us.
   */
  readonly exclusive: boolean;
  /** The lock was lost with its connection, and another server took it, so this one has to stop. */
  readonly onLockLost?: (cause: unknown) => void;
  /** The dump of a PGlite with these tables, for a new store: skips its slow first start. */
  readonly template?: Blob;
  /** How long PostgreSQL may take to answer a statement: ANSWER_TIMEOUT_MS unless told. */
  readonly answerTimeoutMs?: number;
  /** Of the disk of a folder, in place of asking the file system. */
  readonly freeBytes?: () => Promise<number>;
}

export interface OpenStore extends Store {
  readonly orm: MikroORM;
  /** Runs `work` while no other server of this database runs such work. */
  alone<T>(work: () => Promise<T>): Promise<T>;
}

/** Connections of one server to PostgreSQL. PGlite has one. */
const MAX_POSTGRESQL_CONNECTIONS = 16;

/**
 * Everything of ours is looked up by index. But a statement is planned once, maybe while its table was empty
 * or for a list of a hundred rows that has one, and then reading the whole table looks cheaper: it would be
 * read whole until somebody analyzes it, in PGlite for ever.
 */
const BY_INDEX = ['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin'] as const;

/** Compiling a statement takes longer than running it; with a scan switched off it looks worth its while. */
const SETTINGS = [...BY_INDEX, 'jit'].map((name) => `-c ${name}=off`);

const SESSION = {
  /** For a connection, be it new or of the pool: a caller is told sooner than it loses patience. */
  connectionTimeoutMillis: 5_000,
  /** A replica that stands still in a transaction must not hold its rows for longer: others need them. */
  idle_in_transaction_session_timeout: 10_000,
  keepAlive: true,
  /** See `together` of query.ts. */
  pipeline: true,
  /** Cut off without a word, a session ends in 25 s at the database as well, and its locks with it. */
  options: [
    '-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3',
    ...SETTINGS,
  ].join(' '),
};

const INT8 = 20;
const BYTEA = 17;
/** date, timestamp, timestamptz, interval: the ORM reads their text. */
const TIME_TYPES = [1082, 1114, 1184, 1186];

/**
 * int8 as text and bytea as a Buffer, as PostgreSQL's driver has them. PGlite would answer a number that
 * loses digits, and takes 100 ms to write a megabyte in hex.
 */
const PGLITE_PARSERS = {
  ...Object.fromEntries(TIME_TYPES.map((type) => [type, (text: string) => text])),
  [INT8]: (text: string) => text,
  [BYTEA]: (text: string) => Buffer.from(text.slice('\\x'.length), 'hex'),
};
const PGLITE_SERIALIZERS = {
  [BYTEA]: (bytes: Uint8Array) =>
    `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`,
};

/** As `server_version_num` has it. */
const MIN_POSTGRESQL_VERSION = 150_000;

/** Throws when the database cannot be reached, another server holds it, or a migration fails. */
export async function openStore(location: StoreLocation, options: OpenOptions): Promise<OpenStore> {
  const stops = new Stops();
  try {
    return await (location.kind === 'postgresql'
      ? openPostgresql(location.url, options, stops)
      : openPglite(location, options, stops));
  } catch (cause) {
    await stops.run();
    throw cause;
  }
}

async function openPglite(
  location: Exclude<StoreLocation, { kind: 'postgresql' }>,
  { template, clock, freeBytes }: OpenOptions,
  stops: Stops,
): Promise<OpenStore> {
  let folder: PgliteFolder | null = null;
  let room: DiskRoom | null = null;
  if (location.kind === 'folder') {
    const lock = lockFolder(location.path);
    stops.add(() => lock.release());
    const { path } = location;
    room = await DiskRoom.open({ clock, freeBytes: freeBytes ?? (() => freeBytesAt(path)) });
    stops.add(() => room?.close());
    room.require();
    folder = pgliteFolder(path);
  }
  const useTemplate = template !== undefined && (folder?.isNew ?? true);
  const database = await PGlite.create({
    dataDir: folder?.path ?? 'memory://',
    parsers: PGLITE_PARSERS,
    serializers: PGLITE_SERIALIZERS,
    ...(useTemplate && { loadDataDir: template }),
  });
  await database.exec(BY_INDEX.map((name) => `set ${name} = off`).join('; '));
  const pglite = new PreparedPglite(database);
  stops.add(() => pglite.close());
  const orm = await MikroORM.init({
    ...ormOptions,
    driver: PgliteDriver,
    dbName: 'memory://',
    // By a function: the options are copied deeply.
    driverOptions: { pglite: () => pglite },
  } as Partial<Options>);
  stops.add(() => orm.close(true));
  await orm.migrator.up();
  folder?.markReady();
  const store = storeOf(orm, 'pglite', stops);
  return {
    ...store,
    async transaction(work) {
      room?.require();
      return store.transaction(work);
    },
    alone: async (work) => work(),
  };
}

async function openPostgresql(
  url: string,
  { clock, exclusive, onLockLost, answerTimeoutMs = ANSWER_TIMEOUT_MS }: OpenOptions,
  stops: Stops,
): Promise<OpenStore> {
  const answers = new AnswerBound(clock, answerTimeoutMs);
  const orm = await MikroORM.init({
    ...ormOptions,
    driver: PostgreSqlDriver,
    clientUrl: url,
    pool: { min: 0, max: MAX_POSTGRESQL_CONNECTIONS },
    driverOptions: {
      onPoolCreated: (
        pool: Parameters<typeof prepareStatements>[0] & Parameters<AnswerBound['apply']>[0],
      ) => {
        prepareStatements(pool);
        answers.apply(pool);
      },
      ...SESSION,
    },
  } as Partial<Options>);
  stops.add(() => orm.close(true));
  const em = entityManager(orm);
  await requireVersion(em);
  const name = exclusive ? SINGLE_SERVER_LOCK : REPLICA_LOCK;
  const lock = await keepAdvisoryLock(em, { name, clock, onLost: onLockLost });
  stops.add(() => lock.release());
  const under = async <T>(held: typeof START_LOCK, work: () => Promise<T>): Promise<T> => {
    const waited = await takeAdvisoryLock(em, { ...held, clock });
    try {
      return await work();
    } finally {
      await waited.release();
    }
  };
  // Replicas that start together must not run one migration twice.
  await under(MIGRATION_LOCK, () => answers.without(() => orm.migrator.up()));
  return {
    ...storeOf(orm, 'postgresql', stops),
    alone: (work) => under(START_LOCK, work),
  };
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

/** The first statement: it also finds out whether the database can be reached at all. */
async function requireVersion(em: EntityManager): Promise<void> {
  let version: number;
  try {
    const [row] = await query<{ version: string }>(
      em,
      "select current_setting('server_version_num') as version",
    );
    version = Number(row?.version);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`opening the database of GJ_DATABASE_URL: ${why}`, { cause });
  }
  if (!(version >= MIN_POSTGRESQL_VERSION)) {
    throw new Error(
      `opening the database of GJ_DATABASE_URL: its version is ${version}, and PostgreSQL 15 (${MIN_POSTGRESQL_VERSION}) or newer is needed`,
    );
  }
}

/** Both drivers speak PostgreSQL; their EntityManagers differ in nothing but the driver's name. */
function entityManager(orm: MikroORM): EntityManager {
  return orm.em.fork() as unknown as SqlEntityManager as EntityManager;
}

async function expected<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw expectedFailure(cause) ?? cause;
  }
}

function storeOf(orm: MikroORM, kind: Store['kind'], stops: Stops): Omit<OpenStore, 'alone'> {
  return {
    orm,
    kind,
    transaction: (work) => expected(entityManager(orm).transactional(work)),
    read: (work) => expected(work(entityManager(orm))),
    close: () => stops.run(),
  };
}
