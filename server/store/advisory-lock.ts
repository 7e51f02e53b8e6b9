// A lock on a PostgreSQL database that dies with the session that took it. The session's connection is
// kept out of the pool for as long as the lock is held, and watched: without it there is no lock.
import type { Clock } from '../clock.ts';
import type { EntityManager } from './store.ts';

interface LockName {
  /** Any number that no other program on this database uses. */
  readonly key: bigint;
  /** Wait for the holder, or fail at once. */
  readonly wait: boolean;
}

/** "gap-junc": one server at a time, as long as it keeps state in its memory. */
export const SERVER_LOCK: LockName = { key: 0x6761702d6a756e63n, wait: false };

/** "gap-migr": one migration at a time, which takes a moment. */
export const MIGRATION_LOCK: LockName = { key: 0x6761702d6d696772n, wait: true };

/** How soon a lost connection is noticed; PostgreSQL itself gives the lock away at once. */
const WATCH_INTERVAL_MS = 1000;

export interface AdvisoryLock {
  release(): Promise<void>;
}

/** Throws when another session holds a lock that is not waited for. */
export async function takeAdvisoryLock(
  em: EntityManager,
  lock: LockName & {
    readonly clock: Clock;
    readonly onLost?: ((cause: unknown) => void) | undefined;
  },
): Promise<AdvisoryLock> {
  const taken = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const holding = em
    .getKysely<Record<string, never>>()
    .connection()
    .execute(async (session) => {
      const run = (sql: string) =>
        session.executeQuery<{ locked?: boolean }>({
          sql,
          parameters: [],
          query: { kind: 'RawNode', sqlFragments: [sql], parameters: [] },
          queryId: { queryId: sql },
        });
      if (lock.wait) await run(`select pg_advisory_lock(${lock.key})`);
      else {
        const answer = await run(`select pg_try_advisory_lock(${lock.key}) as locked`);
        if (answer.rows[0]?.locked !== true) throw new Error(DATABASE_IN_USE);
      }
      taken.resolve();
      const stopWatching = lock.clock.every(
        WATCH_INTERVAL_MS,
        () => void run('select 1').catch(released.reject),
      );
      try {
        await released.promise;
        await run(`select pg_advisory_unlock(${lock.key})`);
      } finally {
        stopWatching();
      }
    });
  holding.catch((cause: unknown) => {
    taken.reject(cause);
    lock.onLost?.(cause);
  });
  await taken.promise;
  return {
    async release() {
      released.resolve();
      await holding.catch(() => undefined);
    },
  };
}

const DATABASE_IN_USE =
  'opening the database: another server is using it, and one keeps limits and wake-ups in its own memory; stop that one, or name another database with GJ_DATABASE_URL';
