// Blobs, for the rest of the control plane: stored by digest, sealed, kept as long as someone uses them.
import { digest as digestOf, DIGEST_OF_NOTHING, digestText } from '../../protocol/bill/digest.ts';
import type { EntityManager } from '../store/store.ts';
import {
  type BlobHolder,
  blobUnknown,
  checkUploadStart,
  isNothing,
  sizeMismatch,
  type Uploader,
} from './blob.ts';
import { openChunk } from './blob-cipher.ts';
import {
  claimUse,
  deleteClientUses,
  deleteUses,
  eraseUnused,
  erasureDone,
  erasuresDue,
  insertBlob,
  insertUses,
  loadBlob,
  sizeOfHeld,
  sizeOfReadable,
  type StoredBlob,
} from './blob-store.ts';
import {
  receiveLarge,
  receiveShort,
  sealedInRow,
  type Upload,
  type UploadParts,
} from './upload.ts';
import { findUpload, giveUpStale } from './upload-store.ts';
import { UploadTurns } from './upload-turns.ts';

export interface Blobs {
  /**
   * Stores a short content, at most `maxRowBytes` (1 MiB), used by `holder`; one statement in the caller's
   * transaction. Throws RpcError STORAGE_FULL where the client's share is used up (outputs never are).
   */
  put(
    em: EntityManager,
    entry: { holder: BlobHolder; bytes: Uint8Array },
  ): Promise<{ digest: Uint8Array; sizeBytes: number }>;
  /** Throws RpcError BLOB_UNKNOWN (NOT_FOUND) unless the client may read the blob. */
  requireOwned(
    em: EntityManager,
    blob: { clientId: string; digest: Uint8Array },
  ): Promise<{ sizeBytes: number }>;
  /**
   * As requireOwned for each digest, and makes `holder` (a job) a user of it: it cannot be deleted then.
   * One statement. Answers the sizes in the order asked for.
   */
  useBlobs(
    em: EntityManager,
    use: { holder: BlobHolder; digests: readonly Uint8Array[] },
  ): Promise<readonly number[]>;
  /** Ends the holder's uses; one statement. What nobody uses then is erased by the next sweep. */
  endUses(
    em: EntityManager,
    use: { holder: BlobHolder; digests: readonly Uint8Array[] },
  ): Promise<void>;
  /** Makes what an attempt uploaded its job's output; null where the attempt uploaded no such blob. */
  claimOutput(
    em: EntityManager,
    claim: { clientId: string; attemptId: string; jobId: string; digest: Uint8Array },
  ): Promise<{ sizeBytes: number } | null>;
  /**
   * The bytes of a blob that lies in its row, read in the caller's transaction; null for a larger one.
   * Throws RpcError BLOB_UNKNOWN.
   */
  readShort(em: EntityManager, digest: Uint8Array): Promise<Uint8Array | null>;
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
  /** Gives up stale parts and erases what nobody uses; safe beside everything else. To be called each minute. */
  sweep(): Promise<void>;
}

export interface OpenBlob {
  readonly sizeBytes: number;
  /** The bytes from `offset` on, in chunks of at most `chunkBytes`. */
  chunks(offset: number): AsyncGenerator<Uint8Array>;
}

/** Blobs erased in one transaction, so that nobody waits long for it. */
const ERASED_AT_ONCE = 100;

export function createBlobs(parts: UploadParts): Blobs {
  const { store, contents, limits, random } = parts;
  const turns = new UploadTurns();

  /** The size where the upload is not needed: what the uploader has already. */
  async function sizeOfOwn(em: EntityManager, uploader: Uploader, digest: Uint8Array) {
    if (uploader.kind === 'attempt') return sizeOfHeld(em, { holder: uploader, digest });
    const size = await sizeOfReadable(em, { clientId: uploader.clientId, digest });
    if (size !== null) await insertUses(em, { holder: uploader, digests: [digest] });
    return size;
  }

  async function* chunksOf(blob: StoredBlob, offset: number): AsyncGenerator<Uint8Array> {
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
      if (sealed === null) throw new Error(`reading the chunk ${index} of a blob: it was erased`);
      const bytes = openChunk({ key: blob.key, index, sealed }).subarray(skip);
      if (bytes.length > 0) yield bytes;
      skip = 0;
    }
  }

  const blobs: Blobs = {
    async put(em, { holder, bytes }) {
      if (bytes.length > limits.maxRowBytes) {
        throw new RangeError(
          `storing ${bytes.length} bytes inline: at most ${limits.maxRowBytes} are taken`,
        );
      }
      if (bytes.length === 0) return { digest: DIGEST_OF_NOTHING, sizeBytes: 0 };
      const digest = digestOf(bytes);
      const { maxClientBytes } = limits;
      await insertBlob(em, { digest, holder, blob: sealedInRow(bytes, random), maxClientBytes });
      return { digest, sizeBytes: bytes.length };
    },

    async requireOwned(em, { clientId, digest }) {
      if (isNothing(digest)) return { sizeBytes: 0 };
      const sizeBytes = await sizeOfReadable(em, { clientId, digest });
      if (sizeBytes === null) throw blobUnknown(digestText(digest));
      return { sizeBytes };
    },

    async useBlobs(em, { holder, digests }) {
      const stored = digests.filter((digest) => !isNothing(digest));
      const sizes = await insertUses(em, { holder, digests: stored });
      let next = 0;
      return digests.map((digest) => (isNothing(digest) ? 0 : (sizes[next++] ?? 0)));
    },

    endUses: (em, { holder, digests }) =>
      deleteUses(em, { holder, digests: digests.filter((digest) => !isNothing(digest)) }),

    async claimOutput(em, claim) {
      if (isNothing(claim.digest)) return { sizeBytes: 0 };
      const sizeBytes = await claimUse(em, claim);
      return sizeBytes === null ? null : { sizeBytes };
    },

    async readShort(em, digest) {
      if (isNothing(digest)) return new Uint8Array();
      const blob = await loadBlob(em, digest);
      if (blob === null) throw blobUnknown(digestText(digest));
      return blob.place.kind === 'row' ? openRow(blob, blob.place.sealed) : null;
    },

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
      return { sizeBytes: blob.sizeBytes, chunks: (offset) => chunksOf(blob, offset) };
    },

    async isReadable(blob) {
      if (isNothing(blob.digest)) return true;
      return (await store.read((em) => sizeOfReadable(em, blob))) !== null;
    },

    async upload(upload, maxBytes) {
      const { start, uploader } = upload;
      checkUploadStart(start, Math.min(maxBytes ?? limits.maxBlobBytes, limits.maxBlobBytes));
      if (isNothing(start.digest)) return refuseBytes(upload.pieces);
      const own = await store.transaction((em) => sizeOfOwn(em, uploader, start.digest));
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
        size:
          uploader.kind === 'attempt'
            ? await sizeOfHeld(em, { holder: uploader, digest })
            : await sizeOfReadable(em, { clientId: uploader.clientId, digest }),
        upload: await findUpload(em, { uploader, digest }),
      }));
      if (found.size !== null) return { offset: found.size, complete: true };
      if (found.upload === null) return { offset: 0, complete: false };
      const stored = (await contents.count(found.upload.contentId)) * limits.chunkBytes;
      return { offset: Math.min(stored, found.upload.sizeBytes), complete: false };
    },

    async delete({ clientId, digest }) {
      if (isNothing(digest)) return;
      await store.transaction(async (em) => {
        await deleteClientUses(em, { clientId, digest });
        await eraseUnused(em, { limit: 1, digest });
      });
    },

    async sweep() {
      await store.transaction((em) => giveUpStale(em, limits.partialUploadMs));
      const eraseSome = () => store.transaction((em) => eraseUnused(em, { limit: ERASED_AT_ONCE }));
      while ((await eraseSome()) === ERASED_AT_ONCE);
      for (const contentId of await store.read((em) => erasuresDue(em, ERASED_AT_ONCE))) {
        await contents.erase(contentId);
        await store.transaction((em) => erasureDone(em, contentId));
      }
    },
  };
  return blobs;
}

function openRow(blob: StoredBlob, sealed: Uint8Array): Uint8Array {
  return openChunk({ key: blob.key, index: 0, sealed });
}

async function refuseBytes(pieces: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of pieces) {
    if (piece.length > 0) throw sizeMismatch(0, 'more than that came');
  }
}
