// Locks on a PostgreSQL database that die with the session that took them. The session's connection is
// kept out of the pool for as long as the lock is held, and watched: without it there is no lock.
import type { Clock } from '../clock.ts';
import type { EntityManager } from './store.ts';

interface LockName {
  /** Any number that no other program on this database uses. */
  readonly key: bigint;
  /** Of shared ones, many sessions can have the same; not while another has an exclusive one. */
  readonly mode: 'exclusive' | 'shared';
  /** Wait for the holder; otherwise fail at once, and say this. */
  readonly refusal: string | null;
}

/** "gap-junc": who holds it for itself keeps state in its memory, so there must be no other. */
const SERVER_KEY = 0x6761702d6a756e63n;

/** A server without Redis. */
export const SINGLE_SERVER_LOCK: LockName = {
  key: SERVER_KEY,
  mode: 'exclusive',
  refusal:
    'opening the database: another server is using it, and this one would keep nonces, limits and wake-ups in its own memory; stop that one, name another database with GJ_DATABASE_URL, or give all of them one Redis with GJ_REDIS_URL',
};

/** A server with Redis: one of several. */
export const REPLICA_LOCK: LockName = {
  key: SERVER_KEY,
  mode: 'shared',
  refusal:
    'opening the database: a server without GJ_REDIS_URL is using it, and keeps nonces, limits and wake-ups in its own memory; stop that one, and start it again with GJ_REDIS_URL',
};

/** "gap-migr": one migration at a time, which takes a moment. */
export const MIGRATION_LOCK: LockName = {
  key: 0x6761702d6d696772n,
  mode: 'exclusive',
  refusal: null,
};

/** "gap-strt": one server at a time makes what the first one makes for all: keys and first operator. */
export const START_LOCK: LockName = { key: 0x6761702d73747274n, mode: 'exclusive', refusal: null };

/** How soon a lost connection is noticed; PostgreSQL itself gives the lock away at once. */
const WATCH_INTERVAL_MS = 1000;

export interface AdvisoryLock {
  release(): Promise<void>;
}

export class LockRefused extends Error {
  override readonly name = 'LockRefused';
}

/** Rejects with LockRefused when another session holds a lock that is not waited for. */
export async function takeAdvisoryLock(
  em: EntityManager,
  lock: LockName & {
    readonly clock: Clock;
    /** The session ended before the release. */
    readonly onLost?: ((cause: unknown) => void) | undefined;
  },
): Promise<AdvisoryLock> {
  const taken = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const suffix = lock.mode === 'shared' ? '_shared' : '';
  let isTaken = false;
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
      if (lock.refusal === null) await run(`select pg_advisory_lock${suffix}(${lock.key})`);
      else {
        const answer = await run(`select pg_try_advisory_lock${suffix}(${lock.key}) as locked`);
        if (answer.rows[0]?.locked !== true) throw new LockRefused(lock.refusal);
      }
      isTaken = true;
      taken.resolve();
      const stopWatching = lock.clock.every(
        WATCH_INTERVAL_MS,
        () => void run('select 1').catch(released.reject),
      );
      try {
        await released.promise;
        await run(`select pg_advisory_unlock${suffix}(${lock.key})`);
      } finally {
        stopWatching();
      }
    });
  holding.catch((cause: unknown) => {
    taken.reject(cause);
    if (isTaken) lock.onLost?.(cause);
  });
  await taken.promise;
  return {
    async release() {
      released.resolve();
      await holding.catch(() => undefined);
    },
  };
}
