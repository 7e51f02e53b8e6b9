// Blobs to and from a control plane, by digest.
import { createHash } from 'node:crypto';

import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, type Client } from '@connectrpc/connect';

import { BlobService, type UploadRequestSchema } from '#gen/gapjunction/blob/v1/blob_pb';

import { CommandError } from './failure.ts';

/** Small enough that a chunk and its framing stay below every message bound, large enough to be few. */
const CHUNK_BYTES = 256 * 1024;
/** How often an upload that was cut goes on from where the control plane stands. */
const MAX_RESUMES = 5;

/** Uploads what the control plane does not have yet of `bytes`; answers its digest, 32 bytes. */
export async function uploadBlob(
  blobs: Client<typeof BlobService>,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  const digest = createHash('sha256').update(bytes).digest();
  for (let resumes = 0; ; resumes += 1) {
    const stored = await blobs.getUploadOffset({ digest });
    if (stored.complete) return digest;
    try {
      await blobs.upload(uploadRequests(bytes, digest, Number(stored.offset)));
      return digest;
    } catch (error) {
      const cut = error instanceof ConnectError && error.code === Code.Unavailable;
      if (!cut || resumes === MAX_RESUMES) throw error;
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

/** Downloads a blob and checks it against its digest. */
export async function downloadBlob(
  blobs: Client<typeof BlobService>,
  { digest, sizeBytes }: { digest: Uint8Array; sizeBytes: bigint },
): Promise<Uint8Array> {
  const bytes = new Uint8Array(Number(sizeBytes));
  let length = 0;
  for await (const { chunk } of blobs.download({ digest })) {
    if (length + chunk.length > bytes.length) {
      throw new CommandError(`downloading: more than the ${sizeBytes} bytes that were announced`);
    }
    bytes.set(chunk, length);
    length += chunk.length;
  }
  if (length !== bytes.length || !createHash('sha256').update(bytes).digest().equals(digest)) {
    throw new CommandError('downloading: what came does not have the digest that was asked for');
  }
  return bytes;
}
