// Who uses which blob. A client may read what it uploaded, what its jobs use, and what they gave.
import { digestText } from '../../protocol/bill/digest.ts';
import { RpcError } from '../rpc/error.ts';
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { blobUnknown, countedBytesOf, type BlobHolder, type Uploader } from './blob.ts';
import { lockShares } from './share-store.ts';

const READABLE = `exists (select from blob_use u where u.digest = b.digest and u.client_id = $1
  and u.holder_kind in ('client', 'module', 'job', 'output'))`;

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

/**
 * As sizeReadableBy; what a client has through its jobs becomes its own upload by that, and what it uploaded
 * before is kept for as long again. It takes no room: all that a client may read counts already.
 */
export async function sizeOfOwn(
  em: EntityManager,
  { uploader, digest }: UploaderBlob,
): Promise<number | null> {
  const size = await sizeReadableBy(em, { uploader, digest });
  if (size === null || uploader.kind === 'attempt') return size;
  await query(
    em,
    `insert into blob_use (client_id, digest, holder_kind, holder_id, counted_bytes, since_ms)
     select $1::text, $2::bytea, 'client', $1::text, ${countedBytesOf('$3::int')}, gap_junction_now_ms()
      where not exists (
        select from blob_use where client_id = $1 and digest = $2 and holder_kind = 'module')
     on conflict (client_id, digest, holder_kind, holder_id) do update set since_ms = excluded.since_ms`,
    [uploader.clientId, digest, size],
  );
  return size;
}

/**
 * Makes the holder a user of blobs that its client may read; one that it uses already stays. Answers
 * their sizes in the order asked for. A job's use of a module counts as the module's: that is locked, and so not
 * deleted before the use is seen. Throws RpcError BLOB_UNKNOWN (NOT_FOUND).
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
     ), module as materialized (
       select u.digest from blob_use u
        where u.client_id = $1 and u.digest in (${list}) and u.holder_kind = 'module' and $2 = 'job'
        order by u.digest for key share
     ), used as (
       insert into blob_use (client_id, digest, holder_kind, holder_id, counted_bytes, since_ms)
       select $1::text, r.digest, $2::text, $3::text,
              case when m.digest is null then ${countedBytesOf('r.size_bytes')} else 0 end, gap_junction_now_ms()
         from readable r left join module m on m.digest = r.digest
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

/** Makes what its client uploaded a job's: the upload was named. Without effect on anything else. */
export async function claimUpload(
  em: EntityManager,
  { clientId, jobId, digest }: { clientId: string; jobId: string; digest: Uint8Array },
): Promise<void> {
  await query(
    em,
    `update blob_use set holder_kind = 'job', holder_id = $3
      where client_id = $1 and digest = $2 and holder_kind = 'client' and holder_id = $1`,
    [clientId, digest, jobId],
  );
}

/** Makes what its client may read a module of it, kept until DeleteBlob. Throws RpcError BLOB_UNKNOWN. */
export async function keepModule(
  em: EntityManager,
  { clientId, digest }: { clientId: string; digest: Uint8Array },
): Promise<void> {
  await query(
    em,
    `update blob_use u set holder_kind = 'module'
      where client_id = $1 and digest = $2 and holder_kind = 'client' and holder_id = $1
        and not exists (select from blob_use m where m.client_id = u.client_id and m.digest = u.digest
          and m.holder_kind = 'module')`,
    [clientId, digest],
  );
  const holder = { kind: 'module', id: clientId, clientId } as const;
  await insertUses(em, { holder, digests: [digest] });
}

/** A job needs its module no longer; its input stays as what it leaves, and counts for as long. */
export async function endJobUses(
  em: EntityManager,
  { jobId, clientId, module, input }: JobUses,
): Promise<void> {
  await query(
    em,
    `with input as (
       update blob_use u set holder_kind = 'output', since_ms = gap_junction_now_ms()
        where client_id = $1 and digest = $4 and holder_kind = 'job' and holder_id = $2
          and not exists (select from blob_use o where o.client_id = $1 and o.digest = $4
            and o.holder_kind = 'output' and o.holder_id = $2)
       returning digest
     )
     delete from blob_use
      where client_id = $1 and digest in ($3, $4) and holder_kind = 'job' and holder_id = $2
        and digest not in (select digest from input)`,
    [clientId, jobId, module, input],
  );
}

export interface JobUses {
  readonly jobId: string;
  readonly clientId: string;
  /** Digests. */
  readonly module: Uint8Array;
  readonly input: Uint8Array;
}

/** What a job leaves. */
export interface LeftByJob {
  readonly jobId: string;
  readonly clientId: string;
  /** Of its input and output. */
  readonly digests: readonly Uint8Array[];
  readonly attemptIds: readonly string[];
}

/**
 * Ends the uses of what jobs left, and of outputs that their attempts uploaded for nothing. Those of one blob
 * in the order of their holders' ids, as a client does that deletes it. The last of its transaction.
 */
export async function deleteLeft(em: EntityManager, jobs: readonly LeftByJob[]): Promise<void> {
  const left = jobs.flatMap(({ jobId, clientId, digests }) =>
    digests.map((digest) => ({
      job_id: jobId,
      client_id: clientId,
      digest: Buffer.from(digest).toString('hex'),
    })),
  );
  await query(
    em,
    `with left_by as (
       select * from jsonb_to_recordset($1::jsonb) as l (job_id text, client_id text, digest text)
     ), of_attempts as (
       delete from blob_use where holder_kind = 'attempt'
          and holder_id in (select jsonb_array_elements_text($2::jsonb))
     ), locked as materialized (
       select u.client_id, u.digest, u.holder_id from blob_use u join left_by l
           on u.client_id = l.client_id and u.digest = decode(l.digest, 'hex') and u.holder_id = l.job_id
        where u.holder_kind = 'output' order by u.client_id, u.digest, u.holder_id for update of u
     )
     delete from blob_use u using locked l
      where u.client_id = l.client_id and u.digest = l.digest
        and u.holder_kind = 'output' and u.holder_id = l.holder_id`,
    [JSON.stringify(left), JSON.stringify(jobs.flatMap(({ attemptIds }) => attemptIds))],
  );
  await lockShares(
    em,
    jobs.map(({ clientId }) => ({ client_id: clientId })),
  );
}

/** Ends uploads that no job named for so long. Answers how many, at most `limit`. The last of its transaction. */
export async function deleteUnnamed(
  em: EntityManager,
  { unnamedUploadMs, limit }: { unnamedUploadMs: number; limit: number },
): Promise<number> {
  const rows = await query<{ client_id: string }>(
    em,
    `delete from blob_use u using (
       select client_id, digest, holder_kind, holder_id from blob_use
        where holder_kind = 'client' and since_ms < (select gap_junction_now_ms() - $1::bigint)
        order by since_ms limit $2 for update skip locked
     ) d
      where u.client_id = d.client_id and u.digest = d.digest and u.holder_kind = d.holder_kind
        and u.holder_id = d.holder_id returning u.client_id`,
    [unnamedUploadMs, limit],
  );
  await lockShares(em, rows);
  return rows.length;
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

/** Turns the output that an attempt uploaded into its job's, and counts it, whatever room there is. Answers its size; null where there is none. */
export async function claimUse(
  em: EntityManager,
  claim: { clientId: string; attemptId: string; jobId: string; digest: Uint8Array },
): Promise<number | null> {
  const rows = await query<{ size_bytes: number }>(
    em,
    `with claimed as (
       update blob_use u
          set holder_kind = 'output', holder_id = $4, counted_bytes = ${countedBytesOf('b.size_bytes')}
         from blob b
        where b.digest = u.digest and u.client_id = $1 and u.digest = $2
          and u.holder_kind = 'attempt' and u.holder_id = $3
       returning u.digest
     )
     select b.size_bytes from blob b join claimed c on c.digest = b.digest`,
    [claim.clientId, claim.digest, claim.attemptId, claim.jobId],
  );
  return rows[0]?.size_bytes ?? null;
}

/**
 * Ends what a client itself holds of a blob: its upload, its module, what ended jobs left. Throws RpcError
 * BLOB_UNKNOWN (NOT_FOUND), BLOB_IN_USE (FAILED_PRECONDITION) while a job needs it.
 */
export async function deleteClientUses(
  em: EntityManager,
  { clientId, digest }: { clientId: string; digest: Uint8Array },
): Promise<void> {
  const own = `from blob_use where client_id = $1 and digest = $2 and holder_kind <> 'attempt'`;
  await query(em, `select ${own} order by holder_kind, holder_id for update`, [clientId, digest]);
  // Read once more: a job may have come to use the module that we waited for.
  const uses = await query<{ holder_kind: string; holder_id: string }>(
    em,
    `select holder_kind, holder_id ${own}`,
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
  if (uses.length === 0) throw blobUnknown(digestText(digest));
  await query(
    em,
    `delete from blob_use where client_id = $1 and digest = $2 and holder_kind in ('client', 'module', 'output')`,
    [clientId, digest],
  );
}
