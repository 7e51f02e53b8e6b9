// The tables of blobs. Who may read: a client, what it uploaded, what its jobs use and what they gave.
import { digestText } from '../../protocol/bill/digest.ts';
import { RpcError } from '../rpc/error.ts';
import { query, type Parameter } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { blobUnknown, countedBytes, type BlobHolder, storageFull, type Uploader } from './blob.ts';

export interface StoredBlob {
  readonly sizeBytes: number;
  readonly key: Uint8Array;
  readonly place:
    | { readonly kind: 'row'; readonly sealed: Uint8Array }
    | { readonly kind: 'contents'; readonly contentId: string };
}

// A use counts 0 where the client has the blob already, or where its jobs made it: outputs are bounded by
// what they cost.
const PUT = `
  with share as (
    select counted, counted = 0 or counted + coalesce(
             (select used_bytes from client_storage where client_id = $2), 0) <= $10::bigint as admitted
      from (select case when $3::text in ('attempt', 'output')
                          or exists (select from blob_use u where u.client_id = $2 and u.digest = $1)
                        then 0 else $5::int end as counted) c
  ), stored as (
    insert into blob (digest, size_bytes, key, sealed, content_id, created_ms)
    select $1::bytea, $6::int, $7::bytea, $8::bytea, $9::text, gap_junction_now_ms()
      from share where admitted
    on conflict (digest) do nothing returning digest
  ), used as (
    insert into blob_use (client_id, digest, holder_kind, holder_id, counted_bytes, since_ms)
    select $2::text, $1::bytea, $3::text, $4::text, counted, gap_junction_now_ms()
      from share where admitted
    on conflict do nothing
  )
  select admitted, exists (select from stored) as kept from share`;

export interface NewBlob {
  readonly digest: Uint8Array;
  readonly holder: BlobHolder;
  readonly blob: StoredBlob;
  readonly maxClientBytes: number;
}

/**
 * Stores a whole blob and its holder's use of it, in one statement. Answers whether these bytes are the
 * ones that are kept: not so where the blob was there before. Throws RpcError STORAGE_FULL.
 */
export async function insertBlob(em: EntityManager, entry: NewBlob): Promise<{ kept: boolean }> {
  const { digest, holder, blob } = entry;
  const parameters: Parameter[] = [
    digest,
    holder.clientId,
    holder.kind,
    holder.id,
    countedBytes(blob.sizeBytes),
    blob.sizeBytes,
    blob.key,
    blob.place.kind === 'row' ? blob.place.sealed : null,
    blob.place.kind === 'contents' ? blob.place.contentId : null,
    entry.maxClientBytes,
  ];
  const rows = await query<{ admitted: boolean; kept: boolean }>(em, PUT, parameters);
  if (rows[0]?.admitted !== true) throw shareFull(blob.sizeBytes, entry.maxClientBytes);
  return { kept: rows[0].kept };
}

export function shareFull(sizeBytes: number, maxClientBytes: number): RpcError {
  return storageFull(
    `storing ${sizeBytes} bytes: with them you would have more than ${maxClientBytes}; delete blobs that you no longer need`,
  );
}

const READABLE = `exists (select from blob_use u where u.digest = b.digest and u.client_id = $1
  and u.holder_kind in ('client', 'job', 'output'))`;

/** The size of a blob that the client may read; null where it has none such. */
export async function sizeOfReadable(
  em: EntityManager,
  { clientId, digest }: { clientId: string; digest: Uint8Array },
): Promise<number | null> {
  const rows = await query<{ size_bytes: number }>(
    em,
    `select size_bytes from blob b where digest = $2 and ${READABLE}`,
    [clientId, digest],
  );
  return rows[0]?.size_bytes ?? null;
}

/** The size of a blob that this very holder uses; null where it does not. */
async function sizeOfHeld(
  em: EntityManager,
  { holder, digest }: { holder: BlobHolder; digest: Uint8Array },
): Promise<number | null> {
  const rows = await query<{ size_bytes: number }>(
    em,
    `select b.size_bytes from blob b join blob_use u on u.digest = b.digest
      where u.client_id = $1 and u.digest = $2 and u.holder_kind = $3 and u.holder_id = $4`,
    [holder.clientId, digest, holder.kind, holder.id],
  );
  return rows[0]?.size_bytes ?? null;
}

interface UploaderBlob {
  readonly uploader: Uploader;
  readonly digest: Uint8Array;
}

/** The size of a blob that the uploader has already; null where it has to be sent. */
export function sizeReadableBy(
  em: EntityManager,
  { uploader, digest }: UploaderBlob,
): Promise<number | null> {
  return uploader.kind === 'attempt'
    ? sizeOfHeld(em, { holder: uploader, digest })
    : sizeOfReadable(em, { clientId: uploader.clientId, digest });
}

/** As sizeReadableBy; what a client has through its jobs becomes its own by that. */
export async function sizeOfOwn(em: EntityManager, blob: UploaderBlob): Promise<number | null> {
  const size = await sizeReadableBy(em, blob);
  if (size !== null && blob.uploader.kind === 'client') {
    await insertUses(em, { holder: blob.uploader, digests: [blob.digest] });
  }
  return size;
}

/**
 * Makes the holder a user of blobs that its client may read; one that it uses already stays. Answers
 * their sizes in the order asked for. Throws RpcError BLOB_UNKNOWN (NOT_FOUND).
 */
export async function insertUses(
  em: EntityManager,
  { holder, digests }: { holder: BlobHolder; digests: readonly Uint8Array[] },
): Promise<readonly number[]> {
  if (digests.length === 0) return [];
  const list = digests.map((_, at) => `$${at + 4}::bytea`).join(', ');
  const rows = await query<{ digest: Uint8Array; size_bytes: number }>(
    em,
    `with readable as (
       select b.digest, b.size_bytes from blob b where b.digest in (${list}) and ${READABLE}
     ), used as (
       insert into blob_use (client_id, digest, holder_kind, holder_id, counted_bytes, since_ms)
       select $1::text, digest, $2::text, $3::text, 0, gap_junction_now_ms() from readable
       on conflict do nothing
     )
     select digest, size_bytes from readable`,
    [holder.clientId, holder.kind, holder.id, ...digests],
  );
  const sizes = new Map(rows.map((row) => [digestText(row.digest), row.size_bytes]));
  return digests.map((digest) => {
    const size = sizes.get(digestText(digest));
    if (size === undefined) throw blobUnknown(digestText(digest));
    return size;
  });
}

/** Ends the holder's uses of these blobs. What nobody uses then is erased by the next sweep. */
export async function deleteUses(
  em: EntityManager,
  { holder, digests }: { holder: BlobHolder; digests: readonly Uint8Array[] },
): Promise<void> {
  if (digests.length === 0) return;
  const list = digests.map((_, at) => `$${at + 4}::bytea`).join(', ');
  await query(
    em,
    `delete from blob_use where client_id = $1 and holder_kind = $2 and holder_id = $3 and digest in (${list})`,
    [holder.clientId, holder.kind, holder.id, ...digests],
  );
}

/** Turns the output that an attempt uploaded into its job's. Answers its size; null where there is none. */
export async function claimUse(
  em: EntityManager,
  claim: { clientId: string; attemptId: string; jobId: string; digest: Uint8Array },
): Promise<number | null> {
  const rows = await query<{ size_bytes: number }>(
    em,
    `with claimed as (
       update blob_use set holder_kind = 'output', holder_id = $4
        where client_id = $1 and digest = $2 and holder_kind = 'attempt' and holder_id = $3
       returning digest
     )
     select b.size_bytes from blob b join claimed c on c.digest = b.digest`,
    [claim.clientId, claim.digest, claim.attemptId, claim.jobId],
  );
  return rows[0]?.size_bytes ?? null;
}

/**
 * Ends what a client itself holds of a blob: its upload and the outputs of ended jobs. Throws RpcError
 * BLOB_UNKNOWN (NOT_FOUND), BLOB_IN_USE (FAILED_PRECONDITION) while a job needs it.
 */
export async function deleteClientUses(
  em: EntityManager,
  { clientId, digest }: { clientId: string; digest: Uint8Array },
): Promise<void> {
  const uses = await query<{ holder_kind: string; holder_id: string }>(
    em,
    `select holder_kind, holder_id from blob_use where client_id = $1 and digest = $2
      order by holder_kind, holder_id for update`,
    [clientId, digest],
  );
  const job = uses.find((use) => use.holder_kind === 'job');
  if (job !== undefined) {
    throw new RpcError(
      'FAILED_PRECONDITION',
      'BLOB_IN_USE',
      `deleting the blob '${digestText(digest)}': the job '${job.holder_id}' needs it; wait for its end, or cancel it`,
      { metadata: { job_id: job.holder_id } },
    );
  }
  if (!uses.some((use) => use.holder_kind !== 'attempt')) throw blobUnknown(digestText(digest));
  await query(
    em,
    `delete from blob_use where client_id = $1 and digest = $2 and holder_kind in ('client', 'output')`,
    [clientId, digest],
  );
}

/** A whole blob as it lies in the store; null where there is none. */
export async function loadBlob(em: EntityManager, digest: Uint8Array): Promise<StoredBlob | null> {
  const rows = await query<{
    size_bytes: number;
    key: Uint8Array;
    sealed: Uint8Array | null;
    content_id: string | null;
  }>(em, `select size_bytes, key, sealed, content_id from blob where digest = $1`, [digest]);
  const row = rows[0];
  if (row === undefined) return null;
  return {
    sizeBytes: row.size_bytes,
    key: row.key,
    place:
      row.sealed === null
        ? { kind: 'contents', contentId: row.content_id ?? '' }
        : { kind: 'row', sealed: row.sealed },
  };
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
