// gapjunction.blob.v1.BlobService: whose blob it is, and bytes in and out.
import { BlobService, type UploadRequest } from '#gen/gapjunction/blob/v1/blob_pb';
import { digestText } from '../../protocol/bill/digest.ts';
import { RpcError, notFound } from '../rpc/error.ts';
import {
  type CallContext,
  callerOf,
  implement,
  type ServiceImplementation,
} from '../rpc/service.ts';
import { blobUnknown, clientHolder, type Uploader } from './blob.ts';
import type { Blobs } from './blobs.ts';

/** What a node may do with blobs, as its leases say. */
export interface BlobLeases {
  /** Whether the attempt is leased to the node and its order names this blob. */
  mayRead(nodeId: string, attemptId: string, digest: Uint8Array): Promise<boolean>;
  /** Whose output the node may upload, and how much; null without a lease. */
  mayUpload(
    nodeId: string,
    attemptId: string,
  ): Promise<{ clientId: string; maxOutputBytes: number } | null>;
}

export function blobService({
  blobs,
  leases,
}: {
  blobs: Blobs;
  leases: BlobLeases;
}): ServiceImplementation {
  async function uploaderOf(
    context: CallContext,
    attemptId: string,
  ): Promise<{ uploader: Uploader; maxBytes?: number }> {
    if (context.caller.kind === 'node') {
      const lease = await leases.mayUpload(context.caller.nodeId, attemptId);
      if (lease === null) throw notFound('the attempt', attemptId);
      const uploader = { kind: 'attempt', id: attemptId, clientId: lease.clientId } as const;
      return { uploader, maxBytes: lease.maxOutputBytes };
    }
    refuseAttempt(attemptId);
    const { clientId } = callerOf(context, 'client');
    return { uploader: clientHolder(clientId) };
  }

  async function requireReadable(context: CallContext, digest: Uint8Array, attemptId: string) {
    let allowed: boolean;
    if (context.caller.kind === 'node') {
      allowed = await leases.mayRead(context.caller.nodeId, attemptId, digest);
    } else {
      refuseAttempt(attemptId);
      allowed = await blobs.isReadable({ clientId: callerOf(context, 'client').clientId, digest });
    }
    if (!allowed) throw blobUnknown(digestText(digest));
  }

  return implement(BlobService, {
    async upload(requests, context) {
      const messages = requests[Symbol.asyncIterator]();
      const first = await messages.next();
      if (first.done === true || first.value.kind.case !== 'start') {
        throw outOfOrder('the first message has to be the start');
      }
      const { digest, sizeBytes, offset, attemptId } = first.value.kind.value;
      const { uploader, maxBytes } = await uploaderOf(context, attemptId);
      const start = { digest, sizeBytes: Number(sizeBytes), offset: Number(offset) };
      await blobs.upload({ uploader, start, pieces: chunksOf(messages) }, maxBytes);
      return { sizeBytes };
    },

    async getUploadOffset({ digest, attemptId }, context) {
      const { uploader } = await uploaderOf(context, attemptId);
      const { offset, complete } = await blobs.uploadOffset(uploader, digest);
      return { offset: BigInt(offset), complete };
    },

    async *download({ digest, offset, attemptId }, context) {
      await requireReadable(context, digest, attemptId);
      const blob = await blobs.open(digest);
      if (blob === null) throw blobUnknown(digestText(digest));
      if (offset > BigInt(blob.sizeBytes)) {
        throw new RpcError(
          'OUT_OF_RANGE',
          'OFFSET_BEYOND_END',
          `downloading from byte ${offset}: the blob has ${blob.sizeBytes}`,
          { metadata: { size_bytes: String(blob.sizeBytes) } },
        );
      }
      for await (const chunk of blob.chunks(Number(offset))) yield { chunk };
    },

    async deleteBlob({ digest }, context) {
      const { clientId } = callerOf(context, 'client');
      await blobs.delete({ clientId, digest });
      return {};
    },
  });
}

async function* chunksOf(messages: AsyncIterator<UploadRequest>): AsyncGenerator<Uint8Array> {
  for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
    if (next.value.kind.case !== 'chunk') throw outOfOrder('there is only one start');
    yield next.value.kind.value;
  }
}

function outOfOrder(why: string): RpcError {
  return new RpcError('INVALID_ARGUMENT', 'UPLOAD_OUT_OF_ORDER', `uploading a blob: ${why}`);
}

function refuseAttempt(attemptId: string): void {
  if (attemptId === '') return;
  throw new RpcError(
    'INVALID_ARGUMENT',
    'ATTEMPT_NOT_YOURS',
    `naming the attempt '${attemptId}': only its node may; leave it empty`,
  );
}
