// One contract for both places where large contents lie.
import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { SEAL_BYTES } from '../../../server/blobs/blob-cipher.ts';
import type { BlobContents, ContentWriter } from '../../../server/blobs/blob-contents.ts';
import { deleteUpload, insertUpload, takeTurn } from '../../../server/blobs/upload-store.ts';
import { contentsInFiles } from '../../../server/blobs/contents-in-files.ts';
import { contentsInRows } from '../../../server/blobs/contents-in-rows.ts';
import { onEachStore } from '../../fakes/stores.ts';

const CHUNK_BYTES = 100;
const full = (fill: number) => new Uint8Array(CHUNK_BYTES + SEAL_BYTES).fill(fill);
const freshId = () => randomBytes(16).toString('hex');

function contract(
  open: () => BlobContents,
  begin: () => Promise<ContentWriter> = async () => ({ contentId: freshId(), turn: 1 }),
): void {
  it('gives back what was added, chunk by chunk', async () => {
    const contents = open();
    const writer = await begin();
    const id = writer.contentId;
    expect(await contents.count(id)).to.equal(0);
    await contents.append(writer, 0, full(1));
    await contents.append(writer, 1, full(2));
    await contents.append(writer, 2, new Uint8Array(SEAL_BYTES + 1).fill(3));
    await contents.flush(id);
    expect([...((await contents.read(id, 1)) ?? [])]).to.deep.equal([...full(2)]);
    expect(await contents.read(id, 2)).to.have.length(SEAL_BYTES + 1);
    expect(await contents.read(id, 3)).to.equal(null);
    expect(await contents.read(freshId(), 0)).to.equal(null);
  });

  it('lets only one writer add a chunk, so that two uploads cannot mix', async () => {
    const contents = open();
    const writer = await begin();
    const id = writer.contentId;
    await contents.append(writer, 0, full(1));
    const second = await contents.append(writer, 0, full(2)).catch((error: unknown) => error);
    expect(second).to.have.property('reason', 'UPLOAD_TAKEN_OVER');
    expect([...((await contents.read(id, 0)) ?? [])]).to.deep.equal([...full(1)]);
  });

  it('goes back to where an upload begins again', async () => {
    const contents = open();
    const writer = await begin();
    const id = writer.contentId;
    for (const index of [0, 1, 2]) await contents.append(writer, index, full(index));
    await contents.truncate(writer, 1);
    expect(await contents.count(id)).to.equal(1);
    await contents.append(writer, 1, full(9));
    expect([...((await contents.read(id, 1)) ?? [])]).to.deep.equal([...full(9)]);
    await contents.truncate(await begin(), 0);
  });

  it('erases, also what was erased before', async () => {
    const contents = open();
    const writer = await begin();
    const id = writer.contentId;
    await contents.append(writer, 0, full(1));
    await contents.erase(id);
    await contents.erase(id);
    expect(await contents.read(id, 0)).to.equal(null);
    expect(await contents.count(id)).to.equal(0);
  });
}

onEachStore('contents in rows', (store) => {
  async function begin(): Promise<ContentWriter> {
    const contentId = freshId();
    const uploader = { kind: 'client', id: contentId, clientId: contentId } as const;
    const row = { contentId, turn: 1, key: new Uint8Array(32), sizeBytes: 1000 };
    const upload = { uploader, digest: new Uint8Array(32), row, maxClientBytes: 2 ** 30 };
    await store().transaction((em) => insertUpload(em, upload));
    return row;
  }
  contract(() => contentsInRows(store()), begin);

  it('lets the stream of an earlier turn write no more, on whichever replica', async () => {
    const [older, contents] = [await begin(), contentsInRows(store())];
    const { contentId } = older;
    await contents.append(older, 0, full(1));
    const key = {
      uploader: { kind: 'client', id: contentId, clientId: contentId },
      digest: new Uint8Array(32),
    } as const;
    const turn = await store().transaction((em) => takeTurn(em, contentId, key));
    const late = await contents.append(older, 1, full(9)).catch((error: unknown) => error);
    expect(late).to.have.property('reason', 'UPLOAD_TAKEN_OVER');
    await contents.truncate(older, 0);
    expect(await contents.count(contentId)).to.equal(1);
    await contents.append({ contentId, turn: turn ?? 0 }, 1, full(2));
    expect(await store().transaction((em) => deleteUpload(em, older, key))).to.equal(false);
  });
});

describe('contents in files', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'gap-junction-contents-'));
  });
  after(() => rmSync(folder, { recursive: true }));
  const open = () => contentsInFiles(join(folder, 'blobs'), CHUNK_BYTES);

  contract(open);

  it('counts no chunk that a kill left half written, and writes over it', async () => {
    const contents = open();
    const id = freshId();
    await contents.append({ contentId: id, turn: 1 }, 0, full(1));
    appendFileSync(join(folder, 'blobs', id), 'half of a chunk');
    expect(await contents.count(id)).to.equal(1);
    await contents.truncate({ contentId: id, turn: 1 }, 1);
    await contents.append({ contentId: id, turn: 1 }, 1, full(2));
    expect([...((await contents.read(id, 1)) ?? [])]).to.deep.equal([...full(2)]);
  });

  it('says that nothing is durable when the file is gone', async () => {
    expect(
      await open()
        .flush(freshId())
        .catch((error: unknown) => error),
    ).to.have.property('code', 'ENOENT');
  });

  for (const name of ['../escape', 'a/b', '', 'x'.repeat(32), '0'.repeat(31)]) {
    it(`opens no file '${name}', which is not an id of ours`, async () => {
      const error = await open()
        .append({ contentId: name, turn: 1 }, 0, full(1))
        .catch((refusal: unknown) => refusal);
      expect(error).to.match(/is not the id of a content/);
    });
  }

  it('is readable by its owner alone', async () => {
    const id = freshId();
    await open().append({ contentId: id, turn: 1 }, 0, full(1));
    if (process.platform === 'win32') return;
    expect(statSync(join(folder, 'blobs')).mode & 0o777).to.equal(0o700);
    expect(statSync(join(folder, 'blobs', id)).mode & 0o077).to.equal(0);
    expect(readdirSync(join(folder, 'blobs'))).to.include(id);
  });
});

describe('a full disk', () => {
  // /dev/full takes no byte and says ENOSPC: a real full disk, without filling one.
  const onLinux = process.platform === 'linux' ? it : it.skip;
  onLinux('is told as STORAGE_FULL', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gap-junction-full-'));
    try {
      const id = freshId();
      const contents = contentsInFiles(folder, CHUNK_BYTES);
      symlinkSync('/dev/full', join(folder, id));
      const error = await contents
        .append({ contentId: id, turn: 1 }, 0, full(1))
        .catch((refusal: unknown) => refusal);
      expect(error).to.include({ code: 'RESOURCE_EXHAUSTED', reason: 'STORAGE_FULL' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
