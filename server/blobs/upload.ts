// One upload, from its first message to the blob that everybody who may can read.
//
// A short blob is taken in memory and stored by one statement. A large one is sealed and stored chunk by
// chunk as it comes; after a cut it goes on at the last whole chunk, whose bytes are hashed again, because a
// running hash does not survive a kill. It becomes a blob in one transaction, after its bytes are durable.
import { createHash } from 'node:crypto';
import { digest as digestOf, digestText, sameBytes } from '../../protocol/bill/digest.ts';
import type { Clock } from '../clock.ts';
import { RpcError } from '../rpc/error.ts';
import type { Store } from '../store/store.ts';
import {
  type BlobLimits,
  offsetMismatch,
  sizeMismatch,
  type Uploader,
  uploadOffset,
  type UploadStart,
} from './blob.ts';
import { BLOB_KEY_BYTES, openChunk, sealChunk } from './blob-cipher.ts';
import type { BlobContents } from './blob-contents.ts';
import { insertBlob } from './blob-store.ts';
import { newKeyId } from './content-key-store.ts';
import { noteErasure } from './erasure-store.ts';
import { requireShare } from './share-store.ts';
import { sealedInRow } from './held-blobs-store.ts';
import { ChunkCutter } from './chunk-cutter.ts';
import {
  deleteUpload,
  findUpload,
  giveUpOtherOutputs,
  insertUpload,
  takeTurn,
  touchUpload,
  type UploadRow,
} from './upload-store.ts';

export interface UploadParts {
  readonly store: Store;
  readonly contents: BlobContents;
  readonly clock: Clock;
  readonly limits: BlobLimits;
  /** Answers so many cryptographically random bytes. */
  readonly random: (bytes: number) => Uint8Array;
}

export interface Upload {
  readonly uploader: Uploader;
  readonly start: UploadStart;
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** `last byte` is written at most so many times within the time that a part is kept. */
const TOUCHES_A_LIFE = 60;

/** Takes a blob of at most `maxRowBytes` and stores it in its row. */
export async function receiveShort(parts: UploadParts, upload: Upload): Promise<void> {
  const { uploader, start } = upload;
  uploadOffset(start, 0);
  const bytes = Buffer.concat(await collect(upload));
  if (!sameBytes(digestOf(bytes), start.digest)) throw digestMismatch(start.digest);
  await parts.store.transaction(async (em) => {
    if (uploader.kind === 'attempt') await giveUpOtherOutputs(em, keyOf(upload));
    const { maxClientBytes } = parts.limits;
    const { countedBytes } = await insertBlob(em, {
      digest: start.digest,
      holder: uploader,
      blob: sealedInRow(bytes, parts.random),
      maxClientBytes,
    });
    await requireShare(em, { clientId: uploader.clientId, maxClientBytes, countedBytes });
  });
}

/** Takes a large blob, or the rest of one. */
export async function receiveLarge(parts: UploadParts, upload: Upload): Promise<void> {
  const { contents, limits, store } = parts;
  const { start } = upload;
  const row = await beginOrResume(parts, upload);
  const stored = (await contents.count(row.contentId)) * limits.chunkBytes;
  const offset = uploadOffset(start, Math.min(stored, start.sizeBytes));
  await contents.truncate(row, offset / limits.chunkBytes);
  const hash = createHash('sha256');
  let chunks = await hashStored(parts, row, offset, hash);

  const lastTouch = { ms: parts.clock.now() };
  async function keep(chunk: Uint8Array): Promise<void> {
    hash.update(chunk);
    const sealed = sealChunk({ key: row.key, index: chunks, bytes: chunk }, parts.random);
    await contents.append(row, chunks, sealed);
    chunks++;
    const now = parts.clock.now();
    if (now - lastTouch.ms < limits.partialUploadMs / TOUCHES_A_LIFE) return;
    lastTouch.ms = now;
    await store.transaction((em) => touchUpload(em, row.contentId, keyOf(upload)));
  }

  const cutter = new ChunkCutter(limits.chunkBytes);
  for await (const piece of measured(upload, offset)) {
    for (const chunk of cutter.push(piece)) await keep(chunk);
  }
  const rest = cutter.rest();
  if (rest.length > 0) await keep(rest);
  if (!sameBytes(hash.digest(), start.digest)) {
    await giveUp(parts, upload, row);
    throw digestMismatch(start.digest);
  }
  await contents.flush(row.contentId);
  await finish(parts, upload, row);
}

async function beginOrResume(parts: UploadParts, upload: Upload): Promise<UploadRow> {
  const { start, uploader } = upload;
  const key = keyOf(upload);
  return parts.store.transaction(async (em) => {
    if (uploader.kind === 'attempt') await giveUpOtherOutputs(em, key);
    const found = await findUpload(em, key);
    if (found !== null && found.sizeBytes === start.sizeBytes) {
      const turn = await takeTurn(em, found.contentId, key);
      if (turn === null) throw takenOver();
      return { ...found, turn };
    }
    // One of two declared sizes is wrong, and nothing says which: what was stored is given up.
    if (found !== null && (await deleteUpload(em, found, key))) {
      await noteErasure(em, found.contentId);
    }
    const row: UploadRow = {
      contentId: newKeyId(parts.random),
      turn: 1,
      key: parts.random(BLOB_KEY_BYTES),
      sizeBytes: start.sizeBytes,
    };
    await insertUpload(em, { ...key, row, maxClientBytes: parts.limits.maxClientBytes });
    return row;
  });
}

/** Feeds what is stored to the hash. A chunk that was torn by a power loss ends what counts as stored. */
async function hashStored(
  parts: UploadParts,
  row: UploadRow,
  offset: number,
  hash: ReturnType<typeof createHash>,
): Promise<number> {
  const chunks = offset / parts.limits.chunkBytes;
  for (let index = 0; index < chunks; index++) {
    const sealed = await parts.contents.read(row.contentId, index);
    try {
      if (sealed === null) throw new Error(`reading the chunk ${index} of an upload: it is gone`);
      hash.update(openChunk({ key: row.key, index, sealed }));
    } catch {
      await parts.contents.truncate(row, index);
      throw offsetMismatch(offset, index * parts.limits.chunkBytes);
    }
  }
  return chunks;
}

async function finish(parts: UploadParts, upload: Upload, row: UploadRow): Promise<void> {
  const { start, uploader } = upload;
  await parts.store.transaction(async (em) => {
    if (!(await deleteUpload(em, row, keyOf(upload)))) throw takenOver();
    const { kept } = await insertBlob(em, {
      digest: start.digest,
      holder: uploader,
      blob: {
        sizeBytes: row.sizeBytes,
        keyId: row.contentId,
        key: row.key,
        place: { kind: 'contents', contentId: row.contentId },
      },
      // Its room was taken when it began.
      maxClientBytes: null,
    });
    if (!kept) await noteErasure(em, row.contentId);
  });
}

async function giveUp(parts: UploadParts, upload: Upload, row: UploadRow): Promise<void> {
  await parts.store.transaction(async (em) => {
    if (await deleteUpload(em, row, keyOf(upload))) {
      await noteErasure(em, row.contentId);
    }
  });
}

/** The pieces, as many bytes as were declared: SIZE_MISMATCH at the first one too many or at an early end. */
async function* measured(upload: Upload, offset: number): AsyncGenerator<Uint8Array> {
  const declared = upload.start.sizeBytes;
  let seen = offset;
  for await (const piece of upload.pieces) {
    seen += piece.length;
    if (seen > declared) throw sizeMismatch(declared, `more than that came`);
    yield piece;
  }
  if (seen < declared) throw sizeMismatch(declared, `only ${seen} came`);
}

async function collect(upload: Upload): Promise<readonly Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of measured(upload, 0)) pieces.push(piece);
  return pieces;
}

function keyOf(upload: Upload) {
  return { uploader: upload.uploader, digest: upload.start.digest };
}

function digestMismatch(expected: Uint8Array): RpcError {
  return new RpcError(
    'INVALID_ARGUMENT',
    'DIGEST_MISMATCH',
    `uploading the blob '${digestText(expected)}': the bytes have another digest; nothing was kept`,
  );
}

export function takenOver(): RpcError {
  return new RpcError(
    'ABORTED',
    'UPLOAD_TAKEN_OVER',
    'uploading a blob: another upload of it began, or this one was given up; ask for the offset',
  );
}
