// A lock on a PostgreSQL database that dies with the session that took it. The session's connection is
// kept out of the pool for as long as the lock is held, and watched: without it there is no lock.
import type { Clock } from '../clock.ts';
import type { EntityManager } from './store.ts';

/** "gap-junc" as a number, so that it meets no other program's lock by chance. */
const LOCK_KEY = 0x6761702d6a756e63n;

/** How soon a lost connection is noticed; PostgreSQL itself gives the lock away at once. */
const WATCH_INTERVAL_MS = 1000;

export interface AdvisoryLock {
  release(): Promise<void>;
}

/** Throws when another session holds the lock. */
export async function takeAdvisoryLock(
  em: EntityManager,
  clock: Clock,
  onLost: ((cause: unknown) => void) | undefined,
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
      const answer = await run(`select pg_try_advisory_lock(${LOCK_KEY}) as locked`);
      if (answer.rows[0]?.locked !== true) {
        throw new Error(
          'opening the database: another server is using it, and this one keeps nonces and limits in its own memory; stop that one, or give both a Redis with GJ_REDIS_URL',
        );
      }
      taken.resolve();
      const stopWatching = clock.every(
        WATCH_INTERVAL_MS,
        () => void run('select 1').catch(released.reject),
      );
      try {
        await released.promise;
        await run(`select pg_advisory_unlock(${LOCK_KEY})`);
      } finally {
        stopWatching();
      }
    });
  holding.catch((cause: unknown) => {
    taken.reject(cause);
    onLost?.(cause);
  });
  await taken.promise;
  return {
    async release() {
      released.resolve();
      await holding.catch(() => undefined);
    },
  };
}
