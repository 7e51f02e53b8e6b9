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

/** So long everybody waits at most behind a rewriting that waits for its lock itself. */
const LOCK_TIMEOUT_MS = 1000;

/**
 * Rewrites the table of keys, so that no file of it has a deleted one. Everyone who needs a key waits
 * meanwhile: some 0.2 s for 100,000 keys. Throws where others keep the table locked for a second.
 *
 * What the database wrote ahead has the key still: on PGlite it is dropped here; PostgreSQL drops it in its
 * own time (docs/operations.md).
 */
export async function rewriteKeys(store: Store): Promise<void> {
  await store.transaction(async (em) => {
    await query(em, `select set_config('lock_timeout', $1, true)`, [String(LOCK_TIMEOUT_MS)]);
    await query(em, `cluster content_key using content_key_pkey`);
  });
  if (store.kind !== 'pglite') return;
  // Segments that are not needed any more would be kept to be written over, with all that is in them.
  await store.read((em) => query(em, `set wal_recycle = off`));
  await store.read((em) => query(em, `select pg_switch_wal()`));
  await store.read((em) => query(em, `checkpoint`));
}
