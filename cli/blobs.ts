// Blobs to and from a control plane, by digest; what was cut goes on where it was.
import { createHash } from 'node:crypto';

import type { MessageInitShape } from '@bufbuild/protobuf';
import { ConnectError, type Client } from '@connectrpc/connect';

import { BlobService, type UploadRequestSchema } from '#gen/gapjunction/blob/v1/blob_pb';
import { ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';

import { CommandError } from './failure.ts';
import { isPassing, Retries, untilThere } from './retry.ts';

/** Small enough that a chunk and its framing stay below every message bound, large enough to be few. */
const CHUNK_BYTES = 256 * 1024;

/** What the contract says to go on after: the offset is asked for again. */
const RESUMABLE: ReadonlySet<string> = new Set([
  'UPLOAD_TAKEN_OVER',
  'OFFSET_MISMATCH',
  'BLOB_ERASED',
]);

/** Uploads what the control plane does not have yet of `bytes`; answers its digest, 32 bytes. */
export async function uploadBlob(
  blobs: Client<typeof BlobService>,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  const digest = createHash('sha256').update(bytes).digest();
  let best = 0;
  const retries = new Retries();
  for (;;) {
    const stored = await untilThere(() => blobs.getUploadOffset({ digest }));
    // A blob that is whole is named once more: it is kept for an hour from then.
    const offset = stored.complete ? bytes.length : Number(stored.offset);
    if (offset > best) {
      best = offset;
      retries.reset();
    }
    try {
      await blobs.upload(uploadRequests(bytes, digest, offset));
      return digest;
    } catch (error) {
      if (!(await retries.again(error, isResumable))) throw error;
    }
  }
}

async function* uploadRequests(
  bytes: Uint8Array,
  digest: Uint8Array,
  offset: number,
): AsyncGenerator<MessageInitShape<typeof UploadRequestSchema>> {
  const start = { digest, sizeBytes: BigInt(bytes.length), offset: BigInt(offset) };
  yield { kind: { case: 'start', value: start } };
  for (let at = offset; at < bytes.length; at += CHUNK_BYTES) {
    yield { kind: { case: 'chunk', value: bytes.subarray(at, at + CHUNK_BYTES) } };
  }
}

function isResumable(error: unknown): boolean {
  if (isPassing(error)) return true;
  const info = error instanceof ConnectError ? error.findDetails(ErrorInfoSchema)[0] : undefined;
  return info !== undefined && RESUMABLE.has(info.reason);
}

/** Downloads a blob and checks it against its digest. */
export async function downloadBlob(
  blobs: Client<typeof BlobService>,
  { digest, sizeBytes }: { digest: Uint8Array; sizeBytes: bigint },
): Promise<Uint8Array> {
  const bytes = new Uint8Array(Number(sizeBytes));
  let length = 0;
  const retries = new Retries();
  for (;;) {
    try {
      for await (const { chunk } of blobs.download({ digest, offset: BigInt(length) })) {
        if (length + chunk.length > bytes.length) {
          throw new CommandError(
            `downloading: more than the ${sizeBytes} bytes that were announced`,
          );
        }
        bytes.set(chunk, length);
        length += chunk.length;
        retries.reset();
      }
      break;
    } catch (error) {
      if (!(await retries.again(error))) throw error;
    }
  }
  if (length !== bytes.length || !createHash('sha256').update(bytes).digest().equals(digest)) {
    throw new CommandError('downloading: what came does not have the digest that was asked for');
  }
  return bytes;
}
