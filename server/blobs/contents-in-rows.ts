// Large contents as rows of the database, a chunk each: what replicas share without another service.
import { RpcError } from '../rpc/error.ts';
import { query } from '../store/query.ts';
import type { Store } from '../store/store.ts';
import { storageFull } from './blob.ts';
import type { BlobContents } from './blob-contents.ts';

/** SQLSTATE of PostgreSQL: disk_full, and a chunk that another writer stored before. */
const DISK_FULL = '53100';
const UNIQUE_VIOLATION = '23505';

/**
 * The upload, as long as it is this stream's turn. Locked, so that whoever takes over waits for what is being
 * written, and sees it: replicas know of each other's streams by this row alone.
 */
const MINE = `(select 1 from blob_upload where content_id = $1 and turn = $2 for share)`;

export function contentsInRows(store: Store): BlobContents {
  return {
    async count(contentId) {
      const rows = await store.read((em) =>
        query<{ chunks: number }>(
          em,
          `select count(*)::int as chunks from blob_chunk where content_id = $1`,
          [contentId],
        ),
      );
      return rows[0]?.chunks ?? 0;
    },

    async append({ contentId, turn }, index, sealed) {
      const rows = await store
        .read((em) =>
          query(
            em,
            `with mine as ${MINE}
             insert into blob_chunk (content_id, chunk_index, sealed)
             select $1::text, $3::int, $4::bytea from mine returning 1`,
            [contentId, turn, index, sealed],
          ),
        )
        .catch((cause: unknown) => {
          throw refusal(cause);
        });
      if (rows.length === 0) throw takenOver();
    },

    // Each append was a transaction of its own.
    flush: () => Promise.resolve(),

    async read(contentId, index) {
      const rows = await store.read((em) =>
        query<{ sealed: Uint8Array }>(
          em,
          `select sealed from blob_chunk where content_id = $1 and chunk_index = $2`,
          [contentId, index],
        ),
      );
      return rows[0]?.sealed ?? null;
    },

    async truncate({ contentId, turn }, count) {
      await store.read((em) =>
        query(
          em,
          `with mine as ${MINE}
           delete from blob_chunk
            where content_id = $1 and chunk_index >= $3 and exists (select from mine)`,
          [contentId, turn, count],
        ),
      );
    },

    async erase(contentId) {
      await store.read((em) =>
        query(em, `delete from blob_chunk where content_id = $1`, [contentId]),
      );
    },
  };
}

function refusal(cause: unknown): unknown {
  const code = (cause as { code?: unknown }).code;
  if (code === DISK_FULL)
    return storageFull('storing a part of a blob: the disk is full', { cause });
  return code === UNIQUE_VIOLATION ? takenOver(cause) : cause;
}

function takenOver(cause?: unknown): RpcError {
  return new RpcError(
    'ABORTED',
    'UPLOAD_TAKEN_OVER',
    'storing a part of a blob: another upload of it goes on; ask for its offset',
    { cause },
  );
}
