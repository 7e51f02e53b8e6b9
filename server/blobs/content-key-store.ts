// The keys that contents are sealed under. To erase a content is to delete its key and to see to it that
// the key is in no file any more.
//
// A deleted row stays in its page until a vacuum, and its bytes in the page's free space until something
// else is written there. So the table is rewritten: CLUSTER writes what lives into a new file and truncates
// the old one. It does what VACUUM FULL does, and can be told how long to wait for its lock.
import { query } from '../store/query.ts';
import type { EntityManager, Store } from '../store/store.ts';

/** Names of keys, and of the contents that are named by them: 128 random bits in hex. */
const KEY_ID_BYTES = 16;

export function newKeyId(random: (bytes: number) => Uint8Array): string {
  return Buffer.from(random(KEY_ID_BYTES)).toString('hex');
}

export interface ContentKey {
  readonly keyId: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

export async function insertKey(em: EntityManager, { keyId, key }: ContentKey): Promise<void> {
  await query(em, `insert into content_key (key_id, key) values ($1, $2)`, [keyId, key]);
}

/**
 * So long everybody waits at most behind a rewriting that waits for its lock itself. Less than the second after
 * which PostgreSQL looks for deadlocks: in a circle of waits it is the rewriting that gives up.
 */
const LOCK_TIMEOUT_MS = 500;

/** Everyone who needs a key waits for a rewriting: they take a five-hundredth of all time at most. */
const REST_PER_REWRITING = 500;

/**
 * A transaction that began before a deletion may still see what was deleted, and a rewriting keeps it for
 * that one. None of ours takes so long: what was deleted longer ago than this is gone for certain.
 */
const LONGEST_TRANSACTION_MS = 60_000;

/**
 * Rewrites the table of keys where one was deleted and the last rewriting is `leastIntervalMs` ago, or more
 * where it took long (some 0.2 s for 100,000 keys). Answers whether it did. Throws where others keep the
 * table locked for half a second, as a backup does as long as it takes; that counts as a rewriting: everybody
 * waited as long.
 *
 * What the database wrote ahead has the key still: on PGlite that is dropped here; PostgreSQL drops it in
 * its own time (docs/operations.md).
 */
export async function rewriteKeys(
  store: Store,
  { leastIntervalMs }: { readonly leastIntervalMs: number },
): Promise<boolean> {
  const tried = await store.transaction((em) => rewriteWhenDue(em, leastIntervalMs));
  if (tried.kind === 'failed') throw tried.cause;
  if (tried.kind === 'rewritten' && store.kind === 'pglite') await dropWrittenAhead(store);
  return tried.kind === 'rewritten';
}

type Tried =
  | { readonly kind: 'not-due' }
  | { readonly kind: 'rewritten' }
  | { readonly kind: 'failed'; readonly cause: unknown };

async function rewriteWhenDue(em: EntityManager, leastIntervalMs: number): Promise<Tried> {
  // Whoever else rewrites at this moment does it for all.
  const due = await query<{ now_ms: string }>(
    em,
    `select gap_junction_now_ms()::text as now_ms from content_key_rewriting
      where gap_junction_now_ms() >= rewritten_ms + greatest($1::bigint, took_ms * $2::bigint)
        and exists (select from content_key_end) for update skip locked`,
    [leastIntervalMs, REST_PER_REWRITING],
  );
  if (due[0] === undefined) return { kind: 'not-due' };
  const beganMs = Number(due[0].now_ms);
  // Behind a savepoint: what comes of it, the time that it took is written.
  const tried = await em
    .transactional((inner) => rewrite(inner, beganMs))
    .then(
      (): Tried => ({ kind: 'rewritten' }),
      (cause: unknown): Tried => ({ kind: 'failed', cause }),
    );
  await query(
    em,
    `update content_key_rewriting set rewritten_ms = $1::bigint, took_ms = gap_junction_now_ms() - $1::bigint`,
    [beganMs],
  );
  return tried;
}

async function rewrite(em: EntityManager, beganMs: number): Promise<void> {
  await query(em, `delete from content_key_end where ended_ms < $1`, [
    beganMs - LONGEST_TRANSACTION_MS,
  ]);
  await query(em, `select set_config('lock_timeout', $1, true)`, [String(LOCK_TIMEOUT_MS)]);
  await query(em, `cluster content_key using content_key_pkey`);
}

/** Segments that are not needed any more would be kept to be written over, with all that is in them. */
async function dropWrittenAhead(store: Store): Promise<void> {
  for (const sql of ['set wal_recycle = off', 'select pg_switch_wal()', 'checkpoint']) {
    await store.read((em) => query(em, sql));
  }
}
