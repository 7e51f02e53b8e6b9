// Blobs, for the rest of the control plane: stored by digest, sealed, kept as long as someone uses them.
import { digestText } from '../../protocol/bill/digest.ts';
import { blobUnknown, checkUploadStart, isNothing, sizeMismatch, type Uploader } from './blob.ts';
import { openChunk } from './blob-cipher.ts';
import { rewriteKeys } from './content-key-store.ts';
import { loadBlob, type StoredBlob } from './blob-store.ts';
import { type BlobUses, blobUses, openRow } from './held-blobs-store.ts';
import { eraseUnused, erasureDone, erasuresDue } from './erasure-store.ts';
import { receiveLarge, receiveShort, type Upload, type UploadParts } from './upload.ts';
import { findUpload, giveUpStale } from './upload-store.ts';
import { UploadTurns } from './upload-turns.ts';
import {
  deleteUnnamed,
  deleteClientUses,
  sizeOfOwn,
  sizeOfReadable,
  sizeReadableBy,
} from './use-store.ts';

export interface Blobs extends BlobUses {
  /** The whole blob. Never inside a transaction. Throws RpcError BLOB_UNKNOWN, RangeError above `maxBytes`. */
  readAll(digest: Uint8Array, maxBytes: number): Promise<Uint8Array>;

  /** Opens a blob to be sent in chunks, whoever asks; null where there is none. Not in a transaction. */
  open(digest: Uint8Array): Promise<OpenBlob | null>;
  isReadable(blob: { clientId: string; digest: Uint8Array }): Promise<boolean>;
  /** Takes an upload to its end. Throws as BlobService.Upload documents. `maxBytes`: of this one. */
  upload(upload: Upload, maxBytes?: number): Promise<void>;
  uploadOffset(
    uploader: Uploader,
    digest: Uint8Array,
  ): Promise<{ offset: number; complete: boolean }>;
  /** Throws RpcError BLOB_UNKNOWN, BLOB_IN_USE. */
  delete(blob: { clientId: string; digest: Uint8Array }): Promise<void>;
  /**
   * Gives up stale parts and uploads that no job named, and erases what nobody uses, key and all; safe
   * beside everything else. To be called each minute.
   */
  sweep(): Promise<void>;
}

export interface OpenBlob {
  readonly sizeBytes: number;
  /** The bytes from `offset` on, in chunks of at most `chunkBytes`. */
  chunks(offset: number): AsyncGenerator<Uint8Array>;
}

/** Ends of uses in one transaction, so that nobody waits long for it. */
const LOOKED_AT_ONCE = 500;

export function createBlobs(parts: UploadParts): Blobs {
  const { store, contents, limits } = parts;
  const turns = new UploadTurns();

  async function* chunksOf(
    blob: StoredBlob,
    { digest, offset }: { digest: Uint8Array; offset: number },
  ): AsyncGenerator<Uint8Array> {
    const { chunkBytes } = limits;
    if (blob.place.kind === 'row') {
      const bytes = openRow(blob, blob.place.sealed);
      for (let at = offset; at < bytes.length; at += chunkBytes) {
        yield bytes.subarray(at, at + chunkBytes);
      }
      return;
    }
    let skip = offset % chunkBytes;
    const chunks = Math.ceil(blob.sizeBytes / chunkBytes);
    for (let index = Math.floor(offset / chunkBytes); index < chunks; index++) {
      const sealed = await contents.read(blob.place.contentId, index);
      // Its last use ended while it was being read.
      if (sealed === null) throw blobUnknown(digestText(digest));
      const bytes = openChunk({ key: blob.key, index, sealed }).subarray(skip);
      if (bytes.length > 0) yield bytes;
      skip = 0;
    }
  }

  const dueErasures = () => store.read((em) => erasuresDue(em, LOOKED_AT_ONCE));

  const blobs: Blobs = {
    ...blobUses(parts),

    async readAll(digest, maxBytes) {
      const blob = await blobs.open(digest);
      if (blob === null) throw blobUnknown(digestText(digest));
      if (blob.sizeBytes > maxBytes) {
        throw new RangeError(
          `reading the blob '${digestText(digest)}': it has ${blob.sizeBytes} bytes, at most ${maxBytes} are read`,
        );
      }
      return Buffer.concat(await Array.fromAsync(blob.chunks(0)));
    },

    async open(digest) {
      if (isNothing(digest)) return { sizeBytes: 0, chunks: async function* () {} };
      const blob = await store.read((em) => loadBlob(em, digest));
      if (blob === null) return null;
      return { sizeBytes: blob.sizeBytes, chunks: (offset) => chunksOf(blob, { digest, offset }) };
    },

    async isReadable(blob) {
      if (isNothing(blob.digest)) return true;
      return (await store.read((em) => sizeOfReadable(em, blob))) !== null;
    },

    async upload(upload, maxBytes) {
      const { start, uploader } = upload;
      checkUploadStart(start, Math.min(maxBytes ?? limits.maxBlobBytes, limits.maxBlobBytes));
      if (isNothing(start.digest)) return refuseBytes(upload.pieces);
      const own = await store.transaction((em) =>
        sizeOfOwn(em, { uploader, digest: start.digest }),
      );
      if (own === start.sizeBytes) return;
      if (own !== null) throw sizeMismatch(start.sizeBytes, `the blob has ${own}`);
      if (start.sizeBytes <= limits.maxRowBytes) return receiveShort(parts, upload);
      await turns.take(`${uploader.kind}/${uploader.id}/${digestText(start.digest)}`, (until) =>
        receiveLarge(parts, { ...upload, pieces: until(upload.pieces) }),
      );
    },

    async uploadOffset(uploader, digest) {
      if (isNothing(digest)) return { offset: 0, complete: true };
      const found = await store.read(async (em) => ({
        size: await sizeReadableBy(em, { uploader, digest }),
        upload: await findUpload(em, { uploader, digest }),
      }));
      if (found.size !== null) return { offset: found.size, complete: true };
      if (found.upload === null) return { offset: 0, complete: false };
      const stored = (await contents.count(found.upload.contentId)) * limits.chunkBytes;
      return { offset: Math.min(stored, found.upload.sizeBytes), complete: false };
    },

    async delete({ clientId, digest }) {
      if (isNothing(digest)) return;
      await store.transaction((em) => deleteClientUses(em, { clientId, digest }));
      await eraseUnused(store, { limit: LOOKED_AT_ONCE, digest });
    },

    async sweep() {
      await store.transaction((em) => giveUpStale(em, limits.partialUploadMs));
      const { unnamedUploadMs } = limits;
      const unnamed = { unnamedUploadMs, limit: LOOKED_AT_ONCE };
      while ((await store.transaction((em) => deleteUnnamed(em, unnamed))) === LOOKED_AT_ONCE);
      const look = () => eraseUnused(store, { limit: LOOKED_AT_ONCE });
      while ((await look()).lookedAt === LOOKED_AT_ONCE);
      for (let due = await dueErasures(); due.length > 0; due = await dueErasures()) {
        for (const contentId of due) {
          await contents.erase(contentId);
          await store.transaction((em) => erasureDone(em, contentId));
        }
      }
      await rewriteKeys(store, { leastIntervalMs: limits.keyRewritingMs });
    },
  };
  return blobs;
}

async function refuseBytes(pieces: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of pieces) {
    if (piece.length > 0) throw sizeMismatch(0, 'more than that came');
  }
}
