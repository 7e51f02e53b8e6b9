// What nobody uses is erased: its row and its key, then its bytes.
import { query } from '../store/query.ts';
import type { EntityManager, Store } from '../store/store.ts';

/** Notes a content whose bytes nothing needs any more, and deletes its key. */
export async function noteErasure(em: EntityManager, contentId: string): Promise<void> {
  await query(
    em,
    `with keys as (delete from content_key where key_id = $1)
     insert into blob_erasure (content_id) values ($1) on conflict do nothing`,
    [contentId],
  );
}

/** SQLSTATE of PostgreSQL: the row is referred to. */
const FOREIGN_KEY_VIOLATION = '23503';

// A blob is locked before it goes. One that somebody is just coming to use is passed over, not waited for,
// and looked at again the next time; one with uses needs no lock, the end of the last of them will tell.
const ERASE = `
  candidate as materialized (
    select number, digest from blob_use_end %where% order by number limit $1 for update skip locked
  ), locked as materialized (
    select b.digest from blob b
     where b.digest in (select digest from candidate)
       and not exists (select from blob_use u where u.digest = b.digest) for update skip locked
  ), looked_at as (
    delete from blob_use_end e using candidate c
     where e.number = c.number
       and (c.digest in (select digest from locked)
         or exists (select from blob_use u where u.digest = c.digest)
         or not exists (select from blob b where b.digest = c.digest))
    returning e.number
  ), gone as (
    delete from blob where digest in (select digest from locked) returning content_id, key_id
  ), keys as (
    delete from content_key where key_id in (select key_id from gone)
  ), noted as (
    insert into blob_erasure (content_id) select content_id from gone where content_id is not null
  )
  select (select count(*)::int from looked_at) as looked_at, (select count(*)::int from gone) as erased`;

/**
 * Looks at no more than `limit` ends of uses, or at those of this blob, and erases what nobody uses, key
 * and all; large contents are noted for erasure. Where a use came at that very moment, the use wins, and
 * nothing is erased until the next time. In a transaction of its own.
 */
export async function eraseUnused(
  store: Store,
  { limit, digest }: { limit: number; digest?: Uint8Array },
): Promise<{ lookedAt: number; erased: number }> {
  const where = digest === undefined ? '' : 'where digest = $2';
  try {
    const rows = await store.transaction((em) =>
      query<{ looked_at: number; erased: number }>(
        em,
        `with ${ERASE.replace('%where%', where)}`,
        digest === undefined ? [limit] : [limit, digest],
      ),
    );
    return { lookedAt: rows[0]?.looked_at ?? 0, erased: rows[0]?.erased ?? 0 };
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== FOREIGN_KEY_VIOLATION) throw cause;
    return { lookedAt: 0, erased: 0 };
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
