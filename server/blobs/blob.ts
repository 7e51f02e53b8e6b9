// What a blob is, who may need one, and how an upload goes on. Pure.
import { RpcError } from '../rpc/error.ts';
import { DIGEST_OF_NOTHING, sameBytes } from '../../protocol/bill/digest.ts';

/**
 * Who needs a blob:
 * - client: uploaded it, and no job has named it yet; for a time;
 * - module: the client registered it, until DeleteBlob;
 * - job: its input or module, while the job has not ended: keeps the client from deleting it;
 * - attempt: an output that a node uploaded, before its receipt was accepted;
 * - output: what a job that ended leaves, its output and its input, until the client has acknowledged that
 *   it has what it wants, or for a time.
 */
export const HOLDER_KINDS = ['client', 'module', 'job', 'attempt', 'output'] as const;
export const UPLOADER_KINDS = ['client', 'attempt'] as const;

export interface BlobHolder {
  readonly kind: (typeof HOLDER_KINDS)[number];
  /** `c-...` (client and module), `j-...` (job and output) or `a-...`. */
  readonly id: string;
  /** On whose behalf; of kind client, the id again. */
  readonly clientId: string;
}

export type Uploader = BlobHolder & { readonly kind: (typeof UPLOADER_KINDS)[number] };

export const clientHolder = (clientId: string): Uploader => ({
  kind: 'client',
  id: clientId,
  clientId,
});

export interface BlobLimits {
  /** The largest blob: the largest input and output of a job. */
  readonly maxBlobBytes: number;
  /** All that a client has stored or begun to upload, its jobs' inputs and outputs with it. */
  readonly maxClientBytes: number;
  /** A part of an upload is thrown away so long after its last byte. */
  readonly partialUploadMs: number;
  /** An upload that no job names ends so long after its last byte. */
  readonly unnamedUploadMs: number;
  /** The table of keys is rewritten at most so often, where keys were deleted. */
  readonly keyRewritingMs: number;
  /** What comes inline with a job or a receipt lies in its row, so that it is one statement. */
  readonly maxInlineBytes: number;
  /** What is uploaded lies in its row up to here; a database is slow with more. */
  readonly maxRowBytes: number;
  /** Larger contents are stored, and sent, in chunks of this size. An upload goes on at a chunk. */
  readonly chunkBytes: number;
}

export const DEFAULT_BLOB_LIMITS: BlobLimits = {
  maxBlobBytes: 64 * 2 ** 20,
  maxClientBytes: 2 ** 30,
  partialUploadMs: 60 * 60 * 1000,
  unnamedUploadMs: 60 * 60 * 1000,
  keyRewritingMs: 60 * 1000,
  maxInlineBytes: 2 ** 20,
  maxRowBytes: 64 * 1024,
  chunkBytes: 256 * 1024,
};

/** What the least blob counts: its rows take place too, and a client could have 2^30 of one byte. */
const LEAST_COUNTED_BYTES = 4096;

/** As `countedBytes`, in SQL, of a blob that is stored: it has a byte. */
export const countedBytesOf = (sizeBytes: string) =>
  `greatest(${sizeBytes}, ${LEAST_COUNTED_BYTES})`;

/** What a blob of this size counts against its client's share. */
export function countedBytes(sizeBytes: number): number {
  return sizeBytes === 0 ? 0 : Math.max(sizeBytes, LEAST_COUNTED_BYTES);
}

/** The blob of no bytes is everybody's and is never stored. */
export function isNothing(digest: Uint8Array): boolean {
  return sameBytes(digest, DIGEST_OF_NOTHING);
}

export interface UploadStart {
  readonly digest: Uint8Array;
  readonly sizeBytes: number;
  readonly offset: number;
}

/**
 * Checks what an upload declares against the largest size that it may have. Throws RpcError
 * BLOB_TOO_LARGE, SIZE_MISMATCH (INVALID_ARGUMENT).
 */
export function checkUploadStart(start: UploadStart, maxBytes: number): void {
  if (start.sizeBytes > maxBytes) {
    throw new RpcError(
      'INVALID_ARGUMENT',
      'BLOB_TOO_LARGE',
      `uploading a blob of ${start.sizeBytes} bytes: at most ${maxBytes} are taken here`,
      { metadata: { max_bytes: String(maxBytes) } },
    );
  }
  if (isNothing(start.digest) !== (start.sizeBytes === 0)) {
    throw sizeMismatch(start.sizeBytes, 'the digest is not that of so many bytes');
  }
}

/**
 * Where an upload goes on: at what is stored, or at 0 from the start again. Throws RpcError
 * OFFSET_MISMATCH (FAILED_PRECONDITION, metadata `offset`).
 */
export function uploadOffset(start: UploadStart, storedBytes: number): number {
  if (start.offset === 0 || start.offset === storedBytes) return start.offset;
  throw offsetMismatch(start.offset, storedBytes);
}

export function offsetMismatch(offset: number, storedBytes: number): RpcError {
  return new RpcError(
    'FAILED_PRECONDITION',
    'OFFSET_MISMATCH',
    `uploading from byte ${offset}: ${storedBytes} bytes are stored; go on from there`,
    { metadata: { offset: String(storedBytes) } },
  );
}

export function sizeMismatch(declaredBytes: number, why: string): RpcError {
  return new RpcError(
    'INVALID_ARGUMENT',
    'SIZE_MISMATCH',
    `uploading a blob of ${declaredBytes} bytes: ${why}`,
  );
}

export function storageFull(
  message: string,
  details: ConstructorParameters<typeof RpcError>[3] = {},
): RpcError {
  return new RpcError('RESOURCE_EXHAUSTED', 'STORAGE_FULL', message, details);
}

export function blobUnknown(digestText: string): RpcError {
  return new RpcError(
    'NOT_FOUND',
    'BLOB_UNKNOWN',
    `finding the blob '${digestText}': there is none of yours; upload it first`,
  );
}
