// Logs in the database: rows of some KiB, sealed under one random key an attempt. Deleting the key erases
// them.
import { BLOB_KEY_BYTES, openChunk, sealChunk } from '../blobs/blob-cipher.ts';
import { insertKey, newKeyId } from '../blobs/content-key-store.ts';
import { RpcError } from '../rpc/error.ts';
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { LEAST_ROW_BYTES, newBytesOf, type LogAttempt, type LogPiece } from './log.ts';

type Random = (bytes: number) => Uint8Array;

/**
 * Adds to the logs of an attempt that the node holds, and answers its job and the size then. Bytes that are
 * there already are passed over. Throws RpcError ATTEMPT_STALE, LOGS_NOT_GRANTED, and as newBytesOf.
 */
export async function appendLog(
  em: EntityManager,
  piece: LogPiece & { readonly attemptId: string; readonly nodeId: string },
  random: Random,
): Promise<{ readonly jobId: string; readonly sizeBytes: number; readonly isNew: boolean }> {
  const { attemptId } = piece;
  const { jobId, maxBytes } = await lockAttempt(em, piece);
  const log = await lockLog(em, { attemptId, jobId }, random);
  const bytes = newBytesOf(piece, { sizeBytes: log.sizeBytes, maxBytes });
  if (bytes.length === 0) return { jobId, sizeBytes: log.sizeBytes, isNew: false };
  const last = await readChunk(em, { attemptId, key: log.key, fromBytes: log.sizeBytes - 1 });
  const grows = last !== null && last.bytes.length < LEAST_ROW_BYTES;
  const offsetBytes = grows ? last.offsetBytes : log.sizeBytes;
  const plain = grows ? Buffer.concat([last.bytes, bytes]) : bytes;
  const sizeBytes = log.sizeBytes + bytes.length;
  await query(
    em,
    `with grown as (update attempt_log set size_bytes = $4::int where attempt_id = $1)
     insert into attempt_log_chunk (attempt_id, offset_bytes, sealed)
     values ($1::text, $2::int, $3::bytea)
     on conflict (attempt_id, offset_bytes) do update set sealed = excluded.sealed`,
    [
      attemptId,
      offsetBytes,
      sealChunk({ key: log.key, index: offsetBytes, bytes: plain }, random),
      sizeBytes,
    ],
  );
  return { jobId, sizeBytes, isNew: true };
}

/** Whoever ends the attempt waits until the logs are in: behind its end nobody adds to them. */
async function lockAttempt(
  em: EntityManager,
  { attemptId, nodeId }: { attemptId: string; nodeId: string },
): Promise<{ jobId: string; maxBytes: number }> {
  const rows = await query<{ job_id: string; debug_logs: boolean; log_limit_bytes: string }>(
    em,
    `select a.job_id, j.debug_logs, j.log_limit_bytes::text
       from attempt a join job j on j.job_id = a.job_id
      where a.attempt_id = $1 and a.node_id = $2 and a.state in ('leased', 'acknowledged')
        for share of a`,
    [attemptId, nodeId],
  );
  const row = rows[0];
  if (row === undefined) {
    throw new RpcError(
      'FAILED_PRECONDITION',
      'ATTEMPT_STALE',
      `adding to the logs of the attempt '${attemptId}': this node does not hold it any more; drop them`,
    );
  }
  if (!row.debug_logs) {
    throw new RpcError(
      'FAILED_PRECONDITION',
      'LOGS_NOT_GRANTED',
      `adding to the logs of the attempt '${attemptId}': its order does not grant DEBUG_LOGS`,
    );
  }
  return { jobId: row.job_id, maxBytes: Number(row.log_limit_bytes) };
}

/** Made where it is missing; one writer at a time. */
async function lockLog(
  em: EntityManager,
  { attemptId, jobId }: { attemptId: string; jobId: string },
  random: Random,
): Promise<{ key: Uint8Array; sizeBytes: number }> {
  const keyId = newKeyId(random);
  const made = await query(
    em,
    `insert into attempt_log (attempt_id, job_id, key_id, size_bytes) values ($1, $2, $3, 0)
     on conflict (attempt_id) do nothing returning 1`,
    [attemptId, jobId, keyId],
  );
  if (made.length > 0) {
    const key = random(BLOB_KEY_BYTES);
    await insertKey(em, { keyId, key });
    return { key, sizeBytes: 0 };
  }
  const rows = await query<{ key: Uint8Array; size_bytes: number }>(
    em,
    `select k.key, l.size_bytes from attempt_log l join content_key k on k.key_id = l.key_id
      where l.attempt_id = $1 for update of l`,
    [attemptId],
  );
  if (rows[0] === undefined) throw new Error(`reading the logs of '${attemptId}': they are gone`);
  return { key: rows[0].key, sizeBytes: rows[0].size_bytes };
}

export interface LogsOfJob {
  readonly isGranted: boolean;
  readonly isErased: boolean;
  readonly hasEnded: boolean;
  /** First to last. */
  readonly attempts: readonly LogAttempt[];
}

/** Null where the client has no such job. */
export async function readLogsOfJob(
  em: EntityManager,
  { clientId, jobId }: { clientId: string; jobId: string },
): Promise<LogsOfJob | null> {
  const rows = await query<{
    debug_logs: boolean;
    is_erased: boolean;
    has_ended: boolean;
    attempt_id: string | null;
    size_bytes: number;
  }>(
    em,
    `select j.debug_logs, j.erased_ms is not null as is_erased, j.state = 'ended' as has_ended,
            a.attempt_id, coalesce(l.size_bytes, 0) as size_bytes
       from job j left join attempt a on a.job_id = j.job_id
       left join attempt_log l on l.attempt_id = a.attempt_id
      where j.job_id = $1 and j.client_id = $2 order by a.fence`,
    [jobId, clientId],
  );
  const job = rows[0];
  if (job === undefined) return null;
  return {
    isGranted: job.debug_logs,
    isErased: job.is_erased,
    hasEnded: job.has_ended,
    attempts: rows.flatMap(({ attempt_id, size_bytes }) =>
      attempt_id === null ? [] : [{ attemptId: attempt_id, sizeBytes: size_bytes }],
    ),
  };
}

/** The stored bytes from there on, one row at most; null where there are none. */
export async function readLog(
  em: EntityManager,
  { attemptId, fromBytes }: { attemptId: string; fromBytes: number },
): Promise<LogPiece | null> {
  const rows = await query<{ key: Uint8Array }>(
    em,
    `select k.key from attempt_log l join content_key k on k.key_id = l.key_id where l.attempt_id = $1`,
    [attemptId],
  );
  if (rows[0] === undefined) return null;
  const chunk = await readChunk(em, { attemptId, key: rows[0].key, fromBytes });
  if (chunk === null) return null;
  const bytes = chunk.bytes.subarray(fromBytes - chunk.offsetBytes);
  return bytes.length === 0 ? null : { offsetBytes: fromBytes, bytes };
}

/** The row that has this byte, or ends right before it. */
async function readChunk(
  em: EntityManager,
  { attemptId, key, fromBytes }: { attemptId: string; key: Uint8Array; fromBytes: number },
): Promise<LogPiece | null> {
  const rows = await query<{ offset_bytes: number; sealed: Uint8Array }>(
    em,
    `select offset_bytes, sealed from attempt_log_chunk
      where attempt_id = $1 and offset_bytes <= $2 order by offset_bytes desc limit 1`,
    [attemptId, fromBytes],
  );
  const row = rows[0];
  if (row === undefined) return null;
  const bytes = openChunk({ key, index: row.offset_bytes, sealed: row.sealed });
  return { offsetBytes: row.offset_bytes, bytes };
}

/** Erases the logs of these jobs, key and all. */
export async function eraseLogs(em: EntityManager, jobIds: readonly string[]): Promise<void> {
  await query(
    em,
    `with gone as (
       delete from attempt_log where job_id in (select jsonb_array_elements_text($1::jsonb))
       returning attempt_id, key_id
     ), keys as (
       delete from content_key where key_id in (select key_id from gone)
     ) delete from attempt_log_chunk where attempt_id in (select attempt_id from gone)`,
    [JSON.stringify(jobIds)],
  );
}
