// The rows of uploads under way. A row is there before the first byte lies anywhere, and goes in the
// transaction that makes the blob visible, or that gives its bytes up.
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { countedBytes, type Uploader } from './blob.ts';
import { lockShares, requireShare } from './share-store.ts';

export interface UploadRow {
  readonly contentId: string;
  /** See BlobUpload. */
  readonly turn: number;
  readonly key: Uint8Array;
  readonly sizeBytes: number;
}

interface UploadKey {
  readonly uploader: Uploader;
  readonly digest: Uint8Array;
}

export async function findUpload(
  em: EntityManager,
  { uploader, digest }: UploadKey,
): Promise<UploadRow | null> {
  const rows = await query<{
    content_id: string;
    turn: number;
    key: Uint8Array;
    size_bytes: number;
  }>(
    em,
    `select u.content_id, u.turn, k.key, u.size_bytes
       from blob_upload u join content_key k on k.key_id = u.content_id
      where u.holder_kind = $1 and u.holder_id = $2 and u.digest = $3`,
    [uploader.kind, uploader.id, digest],
  );
  const row = rows[0];
  return row === undefined
    ? null
    : {
        contentId: row.content_id,
        turn: row.turn,
        key: row.key,
        sizeBytes: row.size_bytes,
      };
}

/**
 * Begins an upload within the client's share, counted from now on. Uploads of one client begin one after
 * the other, so that two cannot both take the last room: the last of its transaction. Throws RpcError STORAGE_FULL.
 */
export async function insertUpload(
  em: EntityManager,
  entry: UploadKey & { row: UploadRow; maxClientBytes: number },
): Promise<void> {
  const { uploader, digest, row, maxClientBytes } = entry;
  // An output is bounded by what its job costs, and counts from the completion on.
  const counted = uploader.kind === 'client' ? countedBytes(row.sizeBytes) : 0;
  await query(
    em,
    `with new_key as (insert into content_key (key_id, key) values ($8::text, $7::bytea))
     insert into blob_upload (holder_kind, holder_id, digest, client_id, size_bytes, counted_bytes, content_id, last_byte_ms, turn)
     values ($1, $2, $3, $4, $5, $6, $8::text, gap_junction_now_ms(), $9)`,
    [
      uploader.kind,
      uploader.id,
      digest,
      uploader.clientId,
      row.sizeBytes,
      counted,
      row.key,
      row.contentId,
      row.turn,
    ],
  );
  await requireShare(em, { clientId: uploader.clientId, maxClientBytes, countedBytes: counted });
}

/** Takes the next turn of an upload: the stream that had the one before writes no more. */
export async function takeTurn(
  em: EntityManager,
  contentId: string,
  { uploader, digest }: UploadKey,
): Promise<number | null> {
  const rows = await query<{ turn: number }>(
    em,
    `update blob_upload set turn = turn + 1, last_byte_ms = gap_junction_now_ms()
      where holder_kind = $1 and holder_id = $2 and digest = $3 and content_id = $4 returning turn`,
    [uploader.kind, uploader.id, digest, contentId],
  );
  return rows[0]?.turn ?? null;
}

/** Notes that bytes came. */
export async function touchUpload(em: EntityManager, contentId: string, key: UploadKey) {
  await query(
    em,
    `update blob_upload set last_byte_ms = gap_junction_now_ms()
      where holder_kind = $1 and holder_id = $2 and digest = $3 and content_id = $4`,
    [key.uploader.kind, key.uploader.id, key.digest, contentId],
  );
}

/**
 * Ends an upload; answers false where it had been given up, or another stream writes it by now. What becomes
 * of its bytes is the caller's.
 */
export async function deleteUpload(
  em: EntityManager,
  { contentId, turn }: Pick<UploadRow, 'contentId' | 'turn'>,
  { uploader, digest }: UploadKey,
): Promise<boolean> {
  const rows = await query(
    em,
    `delete from blob_upload
      where holder_kind = $1 and holder_id = $2 and digest = $3 and content_id = $4 and turn = $5
      returning 1`,
    [uploader.kind, uploader.id, digest, contentId, turn],
  );
  return rows.length > 0;
}

/** An attempt has one output: what it uploaded or began before another is given up. */
export async function giveUpOtherOutputs(
  em: EntityManager,
  { uploader, digest }: UploadKey,
): Promise<void> {
  await query(
    em,
    `with gone as (
       delete from blob_upload where holder_kind = $1 and holder_id = $2 and digest <> $3 returning content_id
     ), keys as (
       delete from content_key where key_id in (select content_id from gone)
     ) insert into blob_erasure (content_id) select content_id from gone`,
    [uploader.kind, uploader.id, digest],
  );
  await query(
    em,
    `delete from blob_use where client_id = $4 and holder_kind = $1 and holder_id = $2 and digest <> $3`,
    [uploader.kind, uploader.id, digest, uploader.clientId],
  );
}

/** Gives up uploads without a byte for so long, by the database's clock. Answers how many. The last of its transaction. */
export async function giveUpStale(em: EntityManager, partialUploadMs: number): Promise<number> {
  const rows = await query<{ client_id: string }>(
    em,
    `with gone as (
       delete from blob_upload where last_byte_ms < (select gap_junction_now_ms() - $1::bigint)
       returning content_id, client_id
     ), keys as (
       delete from content_key where key_id in (select content_id from gone)
     ), noted as (
       insert into blob_erasure (content_id) select content_id from gone
     ) select client_id from gone`,
    [partialUploadMs],
  );
  await lockShares(em, rows);
  return rows.length;
}
