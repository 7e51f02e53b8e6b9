import { query } from '../store/query.ts';
import type { Store } from '../store/store.ts';
import type { KeyDigests } from './key-digests.ts';

/**
 * Records the digests at the first start on this database, and compares them at every other. Throws, naming
 * the keys, when this replica's are others: its nodes, bills and pseudonyms would be strangers to the rest.
 */
export async function requireSameKeys(
  store: Store,
  digests: KeyDigests,
  dataDir: string,
): Promise<void> {
  const different: string[] = [];
  await store.transaction(async (em) => {
    for (const [name, digest] of Object.entries(digests)) {
      await query(
        em,
        `insert into key_digest (name, digest, recorded_ms) values ($1, $2, gap_junction_now_ms())
         on conflict (name) do nothing`,
        [name, digest],
      );
      const rows = await query(em, 'select 1 from key_digest where name = $1 and digest = $2', [
        name,
        digest,
      ]);
      if (rows.length === 0) different.push(name);
    }
    if (different.length > 0) {
      throw new Error(
        `opening the keys in '${dataDir}': they are not those that this database is used with (${different.join(', ')}); stop, copy the folder 'secrets' from the data folder of another replica, or name another database with GJ_DATABASE_URL`,
      );
    }
  });
}
