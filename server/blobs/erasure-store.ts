// What nobody uses is erased: its row with the key at once, its bytes when the sweep comes by.
import { query } from '../store/query.ts';
import type { EntityManager, Store } from '../store/store.ts';

/** Notes contents whose bytes nothing needs any more. */
export async function noteErasure(em: EntityManager, contentId: string): Promise<void> {
  await query(em, `insert into blob_erasure (content_id) values ($1) on conflict do nothing`, [
    contentId,
  ]);
}

/** SQLSTATE of PostgreSQL: the row is referred to. */
const FOREIGN_KEY_VIOLATION = '23503';

/**
 * Erases at most `limit` blobs that nobody uses, or this one if nobody does, key and all; large contents
 * are noted for erasure. Answers how many. In a transaction of its own: where a use came at that very
 * moment, the use wins, and nothing is erased until the next time.
 */
export async function eraseUnused(
  store: Store,
  { limit, digest }: { limit: number; digest?: Uint8Array },
): Promise<number> {
  try {
    const erased = await store.transaction((em) =>
      query(
        em,
        `with gone as (
           delete from blob where digest in (
             select digest from blob b
              where not exists (select from blob_use u where u.digest = b.digest)
                ${digest === undefined ? '' : 'and b.digest = $2'}
              limit $1 for update skip locked)
           returning content_id
         ), noted as (
           insert into blob_erasure (content_id) select content_id from gone where content_id is not null
         )
         select 1 from gone`,
        digest === undefined ? [limit] : [limit, digest],
      ),
    );
    return erased.length;
  } catch (cause) {
    if ((cause as { code?: unknown }).code === FOREIGN_KEY_VIOLATION) return 0;
    throw cause;
  }
}

export async function erasuresDue(em: EntityManager, limit: number): Promise<readonly string[]> {
  const rows = await query<{ content_id: string }>(
    em,
    `select content_id from blob_erasure limit $1`,
    [limit],
  );
  return rows.map((row) => row.content_id);
}

export async function erasureDone(em: EntityManager, contentId: string): Promise<void> {
  await query(em, `delete from blob_erasure where content_id = $1`, [contentId]);
}
