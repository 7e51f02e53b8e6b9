// Uploads: whole, cut, resumed, lied about, and beside each other.
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { clientHolder } from '../../../server/blobs/blob.ts';
import { query } from '../../../server/store/query.ts';
import {
  LIMITS,
  cut,
  digestOf,
  fresh,
  freshBytes,
  reasonOf,
  sent,
  onEachBlobStore,
} from './blob-world.ts';

onEachBlobStore('uploads', (world) => {
  const { upload, read, isReadable, put, restart, store } = world;

  for (const length of [1, 15, 16, 17, 32, 33, 48, 1000]) {
    it(`keeps a blob of ${length} bytes as it came`, async () => {
      const client = clientHolder(fresh('c'));
      const bytes = freshBytes(length);
      await upload(client, bytes, sent(bytes.subarray(0, 5), bytes.subarray(5)));
      expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
      const open = await world.blobs.open(digestOf(bytes));
      for (const offset of [0, 1, 16, length - 1, length]) {
        const chunks = await Array.fromAsync(open?.chunks(offset) ?? []);
        expect(Buffer.concat(chunks)).to.deep.equal(Buffer.from(bytes.subarray(offset)));
        for (const chunk of chunks) expect(chunk.length).to.be.within(1, LIMITS.chunkBytes);
      }
    });
  }

  it('loses nothing of an upload that is cut anywhere, again and again', async () => {
    const plan = fc.record({
      bytes: fc.uint8Array({ minLength: 33, maxLength: 150 }),
      cuts: fc.array(fc.nat(150), { maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ bytes, cuts }) => {
        const client = clientHolder(fresh('c'));
        const digest = digestOf(bytes);
        for (const end of cuts) {
          const { offset, complete } = await world.blobs.uploadOffset(client, digest);
          expect(complete).to.equal(false);
          expect(offset % LIMITS.chunkBytes).to.equal(0);
          const part = bytes.subarray(offset, Math.min(end, bytes.length - 1));
          const error = await upload(client, bytes, cut(part), { offset }).catch(String);
          expect(error).to.match(/the connection was cut/);
          restart();
        }
        const { offset } = await world.blobs.uploadOffset(client, digest);
        await upload(client, bytes, sent(bytes.subarray(offset)), { offset });
        expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
        expect(await world.blobs.uploadOffset(client, digest)).to.deep.equal({
          offset: bytes.length,
          complete: true,
        });
      }),
      { numRuns: 12 },
    );
  });

  it('begins again at 0 where the client wants to', async () => {
    const client = clientHolder(fresh('c'));
    const bytes = freshBytes(100);
    await upload(client, bytes, cut(bytes.subarray(0, 64))).catch(() => {});
    await upload(client, bytes, sent(bytes));
    expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
  });

  for (const [length, offset, stored] of [
    [100, 63, 64],
    [100, 16, 64],
    [100, 80, 64],
    [30, 16, 0],
  ] as const) {
    it(`goes on nowhere but where it stands: ${offset} of ${length}, ${stored} stored`, async () => {
      const client = clientHolder(fresh('c'));
      const bytes = freshBytes(length);
      await upload(client, bytes, cut(bytes.subarray(0, stored + 3))).catch(() => {});
      const going = upload(client, bytes, sent(bytes.subarray(offset)), { offset });
      expect(await going.catch((error: unknown) => error)).to.deep.include({
        reason: 'OFFSET_MISMATCH',
        metadata: { offset: String(stored) },
      });
    });
  }

  for (const length of [20, 100]) {
    it(`keeps nothing of ${length} bytes under another digest, and takes the right ones later`, async () => {
      const client = clientHolder(fresh('c'));
      const [bytes, lie] = [freshBytes(length), freshBytes(length)];
      expect(await reasonOf(upload(client, bytes, sent(lie)))).to.equal('DIGEST_MISMATCH');
      expect(await world.blobs.uploadOffset(client, digestOf(bytes))).to.deep.equal({
        offset: 0,
        complete: false,
      });
      expect(await world.blobs.open(digestOf(bytes))).to.equal(null);
      await upload(client, bytes, sent(bytes));
      expect(await isReadable(client.clientId, bytes)).to.equal(true);
    });

    it(`takes not one byte more or less than the ${length} declared`, async () => {
      const client = clientHolder(fresh('c'));
      const bytes = freshBytes(length);
      const more = upload(client, bytes, sent(bytes, Uint8Array.of(1)));
      expect(await reasonOf(more)).to.equal('SIZE_MISMATCH');
      const less = upload(client, bytes, sent(bytes.subarray(1)));
      expect(await reasonOf(less)).to.equal('SIZE_MISMATCH');
      const declared = upload(client, bytes, sent(bytes), { sizeBytes: length + 40 });
      expect(await reasonOf(declared)).to.equal('SIZE_MISMATCH');
      await upload(client, bytes, sent(bytes));
      const again = upload(client, bytes, sent(), { sizeBytes: length + 1 });
      expect(await reasonOf(again)).to.equal('SIZE_MISMATCH');
    });
  }

  it('has the blob of nothing from the start, for everybody, and no byte in it', async () => {
    const client = clientHolder(fresh('c'));
    const nothing = new Uint8Array();
    await upload(client, nothing, sent());
    expect(await isReadable(fresh('c'), nothing)).to.equal(true);
    expect(await read(nothing)).to.have.length(0);
    expect(await put({ kind: 'job', id: fresh('j'), clientId: 'c-a' }, nothing)).to.have.property(
      'sizeBytes',
      0,
    );
    expect(await reasonOf(upload(client, nothing, sent(Uint8Array.of(1))))).to.equal(
      'SIZE_MISMATCH',
    );
  });

  it('takes one blob over many streams at once, and keeps it once', async () => {
    const client = clientHolder(fresh('c'));
    const bytes = freshBytes(500);
    const streams = await Promise.allSettled(
      Array.from({ length: 6 }, () => upload(client, bytes, sent(bytes))),
    );
    const failures = streams.flatMap((stream) =>
      stream.status === 'rejected' ? [(stream.reason as { reason?: string }).reason] : [],
    );
    expect(failures.length).to.be.lessThan(6);
    expect(new Set(failures).difference(new Set(['UPLOAD_TAKEN_OVER'])).size).to.equal(0);
    expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
  });

  it('lets a new stream take over from one whose connection died without a word', async () => {
    const client = clientHolder(fresh('c'));
    const bytes = freshBytes(100);
    const silence = Promise.withResolvers<void>();
    const waiting = Promise.withResolvers<void>();
    async function* silent(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 40);
      waiting.resolve();
      await silence.promise;
    }
    const dead = reasonOf(upload(client, bytes, silent()));
    await waiting.promise;
    const { offset } = await world.blobs.uploadOffset(client, digestOf(bytes));
    expect(offset).to.equal(32);
    await upload(client, bytes, sent(bytes.subarray(offset)), { offset });
    expect(await dead).to.equal('UPLOAD_TAKEN_OVER');
    expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
    silence.resolve();
  });

  it('gives up a part an hour after its last byte, and the room that it took', async () => {
    const client = clientHolder(fresh('c'));
    const bytes = freshBytes(100);
    await upload(client, bytes, cut(bytes.subarray(0, 50))).catch(() => {});
    await world.blobs.sweep();
    expect((await world.blobs.uploadOffset(client, digestOf(bytes))).offset).to.equal(48);
    const age = `update blob_upload set last_byte_ms = last_byte_ms - 3600001 where holder_id = $1`;
    await store().transaction((em) => query(em, age, [client.id]));
    await world.blobs.sweep();
    expect((await world.blobs.uploadOffset(client, digestOf(bytes))).offset).to.equal(0);
    const used = await store().read((em) =>
      query<{ used: string }>(
        em,
        'select used_bytes::text as used from client_storage where client_id = $1',
        [client.id],
      ),
    );
    expect(used).to.deep.equal([{ used: '0' }]);
  });

  it('refuses more than a blob or a row may have', async () => {
    const client = clientHolder(fresh('c'));
    const bytes = freshBytes(LIMITS.maxBlobBytes + 1);
    expect(await reasonOf(upload(client, bytes, sent(bytes)))).to.equal('BLOB_TOO_LARGE');
    const inline = put({ kind: 'output', id: fresh('j'), clientId: 'c-a' }, freshBytes(33));
    expect(await reasonOf(inline)).to.match(/at most 32 are taken/);
    const some = freshBytes(100);
    await upload(client, some, sent(some));
    expect(await reasonOf(world.blobs.readAll(digestOf(some), 99))).to.match(/at most 99 are read/);
  });

  if (world.place === 'files') {
    it('keeps no plain byte in a file, and no file when the last use has ended', async () => {
      const client = clientHolder(fresh('c'));
      const bytes = Buffer.from('a secret that must not be found. '.repeat(5));
      await upload(client, bytes, sent(bytes));
      const files = () => readdirSync(join(world.folder, 'contents'));
      for (const file of files()) {
        expect(readFileSync(join(world.folder, 'contents', file)).includes('secret')).to.equal(
          false,
        );
      }
      await world.blobs.sweep();
      const before = files().length;
      await world.blobs.delete({ clientId: client.clientId, digest: digestOf(bytes) });
      await world.blobs.sweep();
      expect(files()).to.have.length(before - 1);
    });

    it('goes on where a kill tore a chunk', async () => {
      const client = clientHolder(fresh('c'));
      const bytes = freshBytes(100);
      const before = new Set(readdirSync(join(world.folder, 'contents')));
      await upload(client, bytes, cut(bytes.subarray(0, 50))).catch(() => {});
      const [file] = readdirSync(join(world.folder, 'contents')).filter(
        (name) => !before.has(name),
      );
      appendFileSync(join(world.folder, 'contents', file ?? ''), 'torn');
      restart();
      const { offset } = await world.blobs.uploadOffset(client, digestOf(bytes));
      expect(offset).to.equal(48);
      await upload(client, bytes, sent(bytes.subarray(offset)), { offset });
      expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
    });
  }
});
