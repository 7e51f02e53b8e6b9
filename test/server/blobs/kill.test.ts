// A real process, killed with -9 where it hurts, and its data folder opened again.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { digest } from '../../../protocol/bill/digest.ts';
import { DEFAULT_BLOB_LIMITS } from '../../../server/blobs/blob.ts';
import { whenAll } from '../../all.ts';
import { blobOf, BLOB_BYTES, CLIENT, openFolder } from './kill-target.ts';

whenAll('after a kill of the server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gap-junction-kill-'));
  after(() => rmSync(folder, { recursive: true }));

  /** Runs the upload in a process of its own until it says the word, and kills it. */
  async function killAfter(word: string, seed: string, sentBytes: number): Promise<void> {
    const script = join(import.meta.dirname, 'kill-target.ts');
    const child: ChildProcess = spawn(process.execPath, [script, folder, seed, String(sentBytes)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const said = await Promise.race([
      once(child.stdout ?? child, 'data').then(([data]) => String(data).trim()),
      exited.then(([code]) => `exit ${code}`),
    ]);
    expect(said).to.equal(word);
    child.kill('SIGKILL');
    await exited;
  }

  it('a blob that was acknowledged is whole', async () => {
    await killAfter('acknowledged', 'whole', BLOB_BYTES);
    const { store, blobs } = await openFolder(folder);
    try {
      const bytes = blobOf('whole');
      const read = await blobs.readAll(digest(bytes), BLOB_BYTES);
      expect(Buffer.compare(read, bytes)).to.equal(0);
      expect(await blobs.isReadable({ clientId: CLIENT.id, digest: digest(bytes) })).to.equal(true);
    } finally {
      await store.close();
    }
  });

  it('an upload in the middle is not visible, and goes on at its last whole chunk', async () => {
    await killAfter('stored', 'cut', 1_000_000);
    const { store, blobs } = await openFolder(folder);
    try {
      const bytes = blobOf('cut');
      expect(await blobs.open(digest(bytes))).to.equal(null);
      const { offset, complete } = await blobs.uploadOffset(CLIENT, digest(bytes));
      const { chunkBytes } = DEFAULT_BLOB_LIMITS;
      expect({ offset, complete }).to.deep.equal({ offset: 3 * chunkBytes, complete: false });
      async function* rest(): AsyncGenerator<Uint8Array> {
        yield bytes.subarray(offset);
      }
      const start = { digest: digest(bytes), sizeBytes: bytes.length, offset };
      await blobs.upload({ uploader: CLIENT, start, pieces: rest() });
      expect(Buffer.compare(await blobs.readAll(digest(bytes), BLOB_BYTES), bytes)).to.equal(0);
    } finally {
      await store.close();
    }
  });
});
