// Large contents as files beside an embedded database, one a content, its sealed chunks end to end. A file
// is never renamed: until a row of `blob` names it, nobody sees it, and that row is written after fsync.
import { mkdirSync } from 'node:fs';
import { type FileHandle, open, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { RpcError } from '../rpc/error.ts';
import { storageFull } from './blob.ts';
import { SEAL_BYTES } from './blob-cipher.ts';
import type { BlobContents } from './blob-contents.ts';

/** An id becomes a file name: nothing else may. */
const CONTENT_ID = /^[0-9a-f]{32}$/;

/** What systems say of a disk, a quota or a file that can take no more. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** `folder` is made where it is missing, for its owner alone. `chunkBytes` is the size of plain chunks. */
export function contentsInFiles(folder: string, chunkBytes: number): BlobContents {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stride = chunkBytes + SEAL_BYTES;

  function pathOf(contentId: string): string {
    if (!CONTENT_ID.test(contentId)) {
      throw new Error(`opening a blob's file: '${contentId}' is not the id of a content`);
    }
    return join(folder, contentId);
  }

  return {
    async count(contentId) {
      const size = await withFile(pathOf(contentId), 'r', async (file) => (await file.stat()).size);
      // A kill in the middle of a write leaves a part of a chunk, which counts as none.
      return Math.floor((size ?? 0) / stride);
    },

    // One process alone has the files, and lets one stream write at a time: no turn is asked for.
    async append({ contentId }, index, sealed) {
      const path = pathOf(contentId);
      const file = await open(path, 'a', 0o600);
      try {
        if ((await file.stat()).size !== index * stride) throw takenOver();
        // What a failure leaves is less than a chunk: it counts as none, and the next writer cuts it off.
        await writeWhole(file, sealed);
      } catch (cause) {
        throw isFull(cause)
          ? storageFull('storing a part of a blob: the disk is full', { cause })
          : cause;
      } finally {
        await file.close();
      }
    },

    async flush(contentId) {
      const path = pathOf(contentId);
      const file = await open(path, 'r+');
      try {
        await file.sync();
      } finally {
        await file.close();
      }
      await syncFolder(folder);
    },

    async read(contentId, index) {
      const chunk = await withFile(pathOf(contentId), 'r', async (file) => {
        const buffer = Buffer.allocUnsafe(stride);
        const { bytesRead } = await file.read(buffer, 0, stride, index * stride);
        return buffer.subarray(0, bytesRead);
      });
      return chunk === null || chunk.length === 0 ? null : chunk;
    },

    async truncate({ contentId }, count) {
      await unlessMissing(() => truncate(pathOf(contentId), count * stride));
    },

    async erase(contentId) {
      await rm(pathOf(contentId), { force: true });
    },
  };
}

/** The name of a new file lies in its folder, which has to reach the disk too. */
async function syncFolder(folder: string): Promise<void> {
  // Windows opens no folder, and keeps names by itself.
  if (process.platform === 'win32') return;
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function writeWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    written += (await file.write(bytes, written)).bytesWritten;
  }
}

/** What `work` answers on the open file; null where there is none. */
async function withFile<T>(
  path: string,
  flags: string,
  work: (file: FileHandle) => Promise<T>,
): Promise<T | null> {
  return unlessMissing(async () => {
    const file = await open(path, flags);
    try {
      return await work(file);
    } finally {
      await file.close();
    }
  });
}

async function unlessMissing<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'ENOENT') return null;
    throw cause;
  }
}

function isFull(cause: unknown): boolean {
  const code = (cause as { code?: unknown }).code;
  return typeof code === 'string' && FULL.has(code);
}

function takenOver(): RpcError {
  return new RpcError(
    'ABORTED',
    'UPLOAD_TAKEN_OVER',
    'storing a part of a blob: another upload of it goes on; ask for its offset',
  );
}
