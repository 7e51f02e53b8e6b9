// What nobody uses is erased: its row with the key at once, its bytes when the sweep comes by.
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';

/** Notes contents whose bytes nothing needs any more. */
export async function noteErasure(em: EntityManager, contentId: string): Promise<void> {
  await query(em, `insert into blob_erasure (content_id) values ($1) on conflict do nothing`, [
    contentId,
  ]);
}

/**
 * Erases at most `limit` blobs that nobody uses, or this one if nobody does, key and all; large contents
 * are noted for erasure. A blob that another transaction is about to use is left alone. Answers how many.
 */
export async function eraseUnused(
  em: EntityManager,
  { limit, digest }: { limit: number; digest?: Uint8Array },
): Promise<number> {
  // Locked first and looked at again: who came to use one in between has its lock, or is seen now.
  const locked = await query<{ digest: Uint8Array }>(
    em,
    `select digest from blob b
      where not exists (select from blob_use u where u.digest = b.digest)
        ${digest === undefined ? '' : 'and b.digest = $2'}
      limit $1 for update skip locked`,
    digest === undefined ? [limit] : [limit, digest],
  );
  if (locked.length === 0) return 0;
  const list = locked.map((_, at) => `$${at + 1}::bytea`).join(', ');
  const erased = await query(
    em,
    `with gone as (
       delete from blob b where digest in (${list})
          and not exists (select from blob_use u where u.digest = b.digest) returning content_id
     ), noted as (
       insert into blob_erasure (content_id) select content_id from gone where content_id is not null
     )
     select 1 from gone`,
    locked.map((row) => row.digest),
  );
  return erased.length;
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
