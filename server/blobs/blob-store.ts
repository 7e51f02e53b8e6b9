// The rows of whole blobs.
import { RpcError } from '../rpc/error.ts';
import { query, type Parameter } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { countedBytes, type BlobHolder } from './blob.ts';
import { refuseShare, shareBytes } from './share-store.ts';

export interface StoredBlob {
  readonly sizeBytes: number;
  readonly keyId: string;
  readonly key: Uint8Array;
  readonly place:
    | { readonly kind: 'row'; readonly sealed: Uint8Array }
    | { readonly kind: 'contents'; readonly contentId: string };
}

// What a client uploads, and what its jobs bring and give, counts until the last use of it has ended; what
// an attempt uploads, not before it is its job's. What a job gives is never refused: its client paid for it.
const PUT = `
  with share as (
    select counted, new_bytes, new_bytes = 0 or $10::bigint is null or new_bytes + coalesce(
             (select used_bytes from client_storage where client_id = $2), 0) <= ${shareBytes('$2', '$10')} as admitted
      from (select case when $3::text = 'attempt' then 0 else $5::int end as counted,
              case when $3 in ('attempt', 'output') or exists (
                select from client_blob where client_id = $2 and digest = $1) then 0 else $5 end as new_bytes) c
  ), stored as (
    insert into blob (digest, size_bytes, key_id, sealed, content_id, created_ms)
    select $1::bytea, $6::int, $7::text, $8::bytea, $9::text, gap_junction_now_ms()
      from share where admitted
    on conflict (digest) do nothing returning key_id
  ), new_key as (
    insert into content_key (key_id, key) select key_id, $11::bytea from stored where $11::bytea is not null
  ), used as (
    insert into blob_use (client_id, digest, holder_kind, holder_id, counted_bytes, since_ms)
    select $2::text, $1::bytea, $3::text, $4::text, counted, gap_junction_now_ms()
      from share where admitted
    on conflict do nothing returning digest
  )
  select admitted, exists (select from stored) as kept,
         case when exists (select from used) then new_bytes else 0 end as counted_bytes
    from share`;

export interface NewBlob {
  readonly digest: Uint8Array;
  readonly holder: BlobHolder;
  readonly blob: StoredBlob;
  /** Of clients that have no quota of their own; null where the room was taken before. */
  readonly maxClientBytes: number | null;
}

/**
 * Stores a whole blob and its holder's use of it, in one statement. Answers whether these bytes are the
 * ones that are kept: not so where the blob was there before, and what they count anew. Of a client's share, what
 * others store at the same moment is not seen: see requireShare. Throws RpcError STORAGE_FULL, BLOB_ERASED
 * (ABORTED).
 */
export async function insertBlob(
  em: EntityManager,
  entry: NewBlob,
): Promise<{ kept: boolean; countedBytes: number }> {
  const { digest, holder, blob } = entry;
  const parameters: Parameter[] = [
    digest,
    holder.clientId,
    holder.kind,
    holder.id,
    countedBytes(blob.sizeBytes),
    blob.sizeBytes,
    blob.keyId,
    blob.place.kind === 'row' ? blob.place.sealed : null,
    blob.place.kind === 'contents' ? blob.place.contentId : null,
    entry.maxClientBytes,
    // The key of a large content stands since its upload began.
    blob.place.kind === 'row' ? blob.key : null,
  ];
  const rows = await query<{ admitted: boolean; kept: boolean; counted_bytes: number }>(
    em,
    PUT,
    parameters,
  ).catch((cause: unknown) => {
    throw erasedMeanwhile(cause) ?? cause;
  });
  if (rows[0]?.admitted !== true) {
    return refuseShare(em, {
      clientId: holder.clientId,
      maxClientBytes: entry.maxClientBytes ?? 0,
      countedBytes: countedBytes(blob.sizeBytes),
    });
  }
  return { kept: rows[0].kept, countedBytes: rows[0].counted_bytes };
}

/** The old row went between our look and our use of it; the bytes are taken when they are sent again. */
function erasedMeanwhile(cause: unknown): RpcError | null {
  if ((cause as { constraint?: unknown }).constraint !== 'blob_use_digest_foreign') return null;
  return new RpcError(
    'ABORTED',
    'BLOB_ERASED',
    'storing a blob: its last use ended at this moment; send it again',
    { cause },
  );
}

/** A whole blob as it lies in the store; null where there is none. */
export async function loadBlob(em: EntityManager, digest: Uint8Array): Promise<StoredBlob | null> {
  const rows = await query<{
    size_bytes: number;
    key_id: string;
    key: Uint8Array;
    sealed: Uint8Array | null;
    content_id: string | null;
  }>(
    em,
    `select b.size_bytes, b.key_id, k.key, b.sealed, b.content_id
       from blob b join content_key k on k.key_id = b.key_id where b.digest = $1`,
    [digest],
  );
  const row = rows[0];
  if (row === undefined) return null;
  return {
    sizeBytes: row.size_bytes,
    keyId: row.key_id,
    key: row.key,
    place:
      row.sealed === null
        ? { kind: 'contents', contentId: row.content_id ?? '' }
        : { kind: 'row', sealed: row.sealed },
  };
}
