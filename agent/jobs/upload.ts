// An output that is too long for Complete, sent before it.
import type { MessageInitShape } from '@bufbuild/protobuf';

import { BlobService, type UploadRequestSchema } from '#gen/gapjunction/blob/v1/blob_pb';
import { digest } from '../../protocol/bill/digest.ts';
import type { Connection } from '../control-plane/connection.ts';

/** Complete carries outputs up to this inline. */
export const MAX_INLINE_OUTPUT_BYTES = 1024 * 1024;
/** The contract allows 1 MiB; smaller ones let a beat through in between. */
const CHUNK_BYTES = 256 * 1024;

/** Uploads what the control plane does not have of it yet. Throws ConnectError. */
export async function uploadOutput(
  connection: Connection,
  output: Uint8Array,
  {
    attemptId,
    ...call
  }: {
    readonly attemptId: string;
    readonly headers: Record<string, string>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const client = connection.client(BlobService);
  const outputDigest = digest(output);
  const stored = await client.getUploadOffset({ digest: outputDigest, attemptId }, call);
  if (stored.complete) return;
  const offset = Number(stored.offset);
  await client.upload(messages(), call);

  async function* messages(): AsyncGenerator<MessageInitShape<typeof UploadRequestSchema>> {
    const sizeBytes = BigInt(output.length);
    const start = { digest: outputDigest, sizeBytes, offset: BigInt(offset), attemptId };
    yield { kind: { case: 'start', value: start } };
    for (let at = offset; at < output.length; at += CHUNK_BYTES) {
      yield { kind: { case: 'chunk', value: output.subarray(at, at + CHUNK_BYTES) } };
    }
  }
}
