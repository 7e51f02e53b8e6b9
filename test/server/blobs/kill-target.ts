// A process to be killed: uploads a blob into a data folder and says what it has been told. Arguments: the
// folder, the blob's seed, how many of its bytes come before it waits for ever (all of them: none).
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { clientHolder, DEFAULT_BLOB_LIMITS } from '../../../server/blobs/blob.ts';
import { type Blobs, createBlobs } from '../../../server/blobs/blobs.ts';
import { contentsInFiles } from '../../../server/blobs/contents-in-files.ts';
import { systemClock } from '../../../server/clock.ts';
import { digest } from '../../../protocol/bill/digest.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { storeTemplate } from '../../fakes/store-template.ts';

export const CLIENT = clientHolder('c-a');
export const BLOB_BYTES = 3_000_000;

export async function openFolder(folder: string): Promise<{ store: OpenStore; blobs: Blobs }> {
  const store = await openStore(
    { kind: 'folder', path: folder },
    { clock: systemClock, exclusive: true, template: await storeTemplate() },
  );
  const blobs = createBlobs({
    store,
    contents: contentsInFiles(join(folder, 'blobs'), DEFAULT_BLOB_LIMITS.chunkBytes),
    clock: systemClock,
    limits: DEFAULT_BLOB_LIMITS,
    random: (bytes) => randomBytes(bytes),
  });
  return { store, blobs };
}

/** The same bytes in both processes. */
export function blobOf(seed: string): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let part = digest(Buffer.from(seed)); parts.length * 32 < BLOB_BYTES; part = digest(part)) {
    parts.push(part);
  }
  return Buffer.concat(parts).subarray(0, BLOB_BYTES);
}

if (import.meta.main) {
  const [folder = '', seed = '', sentBytes = '0'] = process.argv.slice(2);
  const { blobs } = await openFolder(folder);
  const bytes = blobOf(seed);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, Number(sentBytes));
    if (Number(sentBytes) === bytes.length) return;
    // Asked for more: all of it has been stored. The store keeps the process alive.
    process.stdout.write('stored\n');
    await new Promise(() => {});
  }
  const start = { digest: digest(bytes), sizeBytes: bytes.length, offset: 0 };
  await blobs.upload({ uploader: CLIENT, start, pieces: pieces() });
  process.stdout.write('acknowledged\n');
  process.stdin.resume();
}
