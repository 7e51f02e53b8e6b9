// Blobs on a real database, with small chunks so that every edge is near.
import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  type BlobHolder,
  type BlobLimits,
  clientHolder,
  DEFAULT_BLOB_LIMITS,
  type Uploader,
} from '../../../server/blobs/blob.ts';
import { type Blobs, createBlobs } from '../../../server/blobs/blobs.ts';
import { contentsInFiles } from '../../../server/blobs/contents-in-files.ts';
import { contentsInRows } from '../../../server/blobs/contents-in-rows.ts';
import { systemClock } from '../../../server/clock.ts';
import { query } from '../../../server/store/query.ts';
import { onEachStore } from '../../fakes/stores.ts';

const LIMITS: BlobLimits = {
  ...DEFAULT_BLOB_LIMITS,
  maxBlobBytes: 10_000,
  maxClientBytes: 64 * 1024,
  maxRowBytes: 32,
  chunkBytes: 16,
};

const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
const freshBytes = (length: number): Uint8Array => randomBytes(length);
let serial = 0;
const fresh = (prefix: string) => `${prefix}-${++serial}`;

async function* sent(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

/** Sends the pieces, and is cut then. */
async function* cut(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
  throw new Error('the connection was cut');
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as { reason?: string }).reason ?? String(error);
  }
  throw new Error('it was not refused');
}

onEachStore('blobs', (store) => {
  const folder = mkdtempSync(join(tmpdir(), 'gap-junction-blobs-'));
  after(() => rmSync(folder, { recursive: true }));

  for (const place of ['files', 'rows'] as const) {
    describe(`in ${place}`, () => {
      let blobs: Blobs;
      /** As after a restart of the server: nothing in memory, everything else as it was. */
      const restart = (limits: Partial<BlobLimits> = {}) => {
        const contents =
          place === 'rows'
            ? contentsInRows(store())
            : contentsInFiles(join(folder, 'contents'), LIMITS.chunkBytes);
        const parts = { clock: systemClock, random: (bytes: number) => randomBytes(bytes) };
        blobs = createBlobs({
          store: store(),
          contents,
          limits: { ...LIMITS, ...limits },
          ...parts,
        });
      };
      before(() => restart());

      const upload = (
        uploader: Uploader,
        bytes: Uint8Array,
        pieces: AsyncIterable<Uint8Array>,
        wrong: { offset?: number; sizeBytes?: number; digest?: Uint8Array } = {},
      ) => {
        const start = { digest: digestOf(bytes), sizeBytes: bytes.length, offset: 0, ...wrong };
        return blobs.upload({ uploader, start, pieces });
      };
      const read = async (bytes: Uint8Array) =>
        Buffer.from(await blobs.readAll(digestOf(bytes), LIMITS.maxBlobBytes));
      const isReadable = (clientId: string, bytes: Uint8Array) =>
        blobs.isReadable({ clientId, digest: digestOf(bytes) });
      const use = (holder: BlobHolder, bytes: Uint8Array) =>
        store().transaction((em) => blobs.useBlobs(em, { holder, digests: [digestOf(bytes)] }));
      const endUse = (holder: BlobHolder, bytes: Uint8Array) =>
        store().transaction((em) => blobs.endUses(em, { holder, digests: [digestOf(bytes)] }));
      const put = (holder: BlobHolder, bytes: Uint8Array) =>
        store().transaction((em) => blobs.put(em, { holder, bytes }));

      for (const length of [1, 15, 16, 17, 32, 33, 48, 1000]) {
        it(`keeps a blob of ${length} bytes as it came`, async () => {
          const client = clientHolder(fresh('c'));
          const bytes = freshBytes(length);
          await upload(client, bytes, sent(bytes.subarray(0, 5), bytes.subarray(5)));
          expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
          const open = await blobs.open(digestOf(bytes));
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
              const { offset, complete } = await blobs.uploadOffset(client, digest);
              expect(complete).to.equal(false);
              expect(offset % LIMITS.chunkBytes).to.equal(0);
              const part = bytes.subarray(offset, Math.min(end, bytes.length - 1));
              const error = await upload(client, bytes, cut(part), { offset }).catch(String);
              expect(error).to.match(/the connection was cut/);
              restart();
            }
            const { offset } = await blobs.uploadOffset(client, digest);
            await upload(client, bytes, sent(bytes.subarray(offset)), { offset });
            expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
            expect(await blobs.uploadOffset(client, digest)).to.deep.equal({
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
          expect(await blobs.uploadOffset(client, digestOf(bytes))).to.deep.equal({
            offset: 0,
            complete: false,
          });
          expect(await blobs.open(digestOf(bytes))).to.equal(null);
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
        expect(
          await put({ kind: 'job', id: fresh('j'), clientId: 'c-a' }, nothing),
        ).to.have.property('sizeBytes', 0);
        expect(await reasonOf(upload(client, nothing, sent(Uint8Array.of(1))))).to.equal(
          'SIZE_MISMATCH',
        );
      });

      for (const length of [20, 100]) {
        it(`keeps ${length} equal bytes of two clients once, and each client's from the other`, async () => {
          const [one, two] = [clientHolder(fresh('c')), clientHolder(fresh('c'))];
          const bytes = freshBytes(length);
          await upload(one, bytes, sent(bytes));
          expect(await isReadable(two.clientId, bytes)).to.equal(false);
          // Knowing the digest is not having the bytes.
          expect(await reasonOf(upload(two, bytes, sent()))).to.equal('SIZE_MISMATCH');
          expect((await blobs.uploadOffset(two, digestOf(bytes))).complete).to.equal(false);
          expect(await isReadable(two.clientId, bytes)).to.equal(false);
          // Its owner does not send them twice.
          await upload(one, bytes, sent());

          await upload(two, bytes, sent(bytes));
          await blobs.delete({ clientId: one.clientId, digest: digestOf(bytes) });
          expect(await isReadable(one.clientId, bytes)).to.equal(false);
          expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
          await blobs.delete({ clientId: two.clientId, digest: digestOf(bytes) });
          expect(await blobs.open(digestOf(bytes))).to.equal(null);
        });
      }

      it("deletes nothing that is not the client's", async () => {
        const [owner, stranger] = [clientHolder(fresh('c')), fresh('c')];
        const bytes = freshBytes(20);
        await upload(owner, bytes, sent(bytes));
        const foreign = blobs.delete({ clientId: stranger, digest: digestOf(bytes) });
        expect(await reasonOf(foreign)).to.equal('BLOB_UNKNOWN');
        expect(await isReadable(owner.clientId, bytes)).to.equal(true);
      });

      it('keeps a blob that a job needs, until the job has ended', async () => {
        const client = clientHolder(fresh('c'));
        const job = { kind: 'job', id: fresh('j'), clientId: client.clientId } as const;
        const bytes = freshBytes(100);
        await upload(client, bytes, sent(bytes));
        expect(await use(job, bytes)).to.deep.equal([100]);
        await use(job, bytes);
        const deleting = () => blobs.delete({ clientId: client.clientId, digest: digestOf(bytes) });
        expect(await reasonOf(deleting())).to.equal('BLOB_IN_USE');
        await endUse(job, bytes);
        await deleting();
        expect(await blobs.open(digestOf(bytes))).to.equal(null);
      });

      it('lets no job use what its client does not have', async () => {
        const [owner, clientId] = [clientHolder(fresh('c')), fresh('c')];
        const bytes = freshBytes(20);
        await upload(owner, bytes, sent(bytes));
        const job = { kind: 'job', id: fresh('j'), clientId } as const;
        expect(await reasonOf(use(job, bytes))).to.equal('BLOB_UNKNOWN');
        const asking = store().read((em) =>
          blobs.requireOwned(em, { clientId, digest: digestOf(bytes) }),
        );
        expect(await reasonOf(asking)).to.equal('BLOB_UNKNOWN');
      });

      it('keeps an inline input as long as its job, and an output for its client', async () => {
        const clientId = fresh('c');
        const job = { kind: 'job', id: fresh('j'), clientId } as const;
        const [input, output] = [freshBytes(20), freshBytes(21)];
        await put(job, input);
        await put({ kind: 'output', id: job.id, clientId }, output);
        expect(await isReadable(clientId, output)).to.equal(true);
        const inRow = await store().transaction((em) => blobs.readShort(em, digestOf(input)));
        expect(Buffer.from(inRow ?? [])).to.deep.equal(Buffer.from(input));
        await endUse(job, input);
        await blobs.sweep();
        expect(await blobs.open(digestOf(input))).to.equal(null);
        expect(await read(output)).to.deep.equal(Buffer.from(output));
        await blobs.delete({ clientId, digest: digestOf(output) });
        expect(await blobs.open(digestOf(output))).to.equal(null);
      });

      for (const length of [20, 100]) {
        it(`gives an output of ${length} bytes to the client once its receipt is accepted, not before`, async () => {
          const [clientId, attemptId, jobId] = [fresh('c'), fresh('a'), fresh('j')];
          const bytes = freshBytes(length);
          const attempt = { kind: 'attempt', id: attemptId, clientId } as const;
          // An attempt has one output: the last one.
          const earlier = freshBytes(length);
          await upload(attempt, earlier, sent(earlier));
          await upload(attempt, bytes, sent(bytes));
          await upload(attempt, bytes, sent());
          expect(await isReadable(clientId, bytes)).to.equal(false);
          const claim = (digest: Uint8Array) =>
            store().transaction((em) =>
              blobs.claimOutput(em, { clientId, attemptId, jobId, digest }),
            );
          expect(await claim(digestOf(earlier))).to.equal(null);
          expect(await claim(digestOf(bytes))).to.deep.equal({ sizeBytes: length });
          expect(await isReadable(clientId, bytes)).to.equal(true);
          await blobs.sweep();
          expect(await blobs.open(digestOf(earlier))).to.equal(null);
          expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
        });
      }

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
        const { offset } = await blobs.uploadOffset(client, digestOf(bytes));
        expect(offset).to.equal(32);
        await upload(client, bytes, sent(bytes.subarray(offset)), { offset });
        expect(await dead).to.equal('UPLOAD_TAKEN_OVER');
        expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
        silence.resolve();
      });

      it('stores for a client up to its share, what it began to upload with it', async () => {
        const client = clientHolder(fresh('c'));
        const [first, second, third] = [freshBytes(8000), freshBytes(20), freshBytes(5000)];
        restart({ maxClientBytes: 8000 + 4096 });
        await upload(client, first, cut(first.subarray(0, 500))).catch(() => {});
        expect(await reasonOf(upload(client, third, sent(third)))).to.equal('STORAGE_FULL');
        await upload(client, second, sent(second));
        expect(await reasonOf(upload(client, freshBytes(1), sent()))).to.equal('SIZE_MISMATCH');
        const input = put(
          { kind: 'job', id: fresh('j'), clientId: client.clientId },
          freshBytes(1),
        );
        expect(await reasonOf(input)).to.equal('STORAGE_FULL');
        // What its jobs give is bounded by what they cost.
        await put({ kind: 'output', id: fresh('j'), clientId: client.clientId }, freshBytes(30));
        // A blob that it has counts once, however many jobs use it.
        await put({ kind: 'job', id: fresh('j'), clientId: client.clientId }, second);
        const { offset } = await blobs.uploadOffset(client, digestOf(first));
        await upload(client, first, sent(first.subarray(offset)), { offset });
        expect(await reasonOf(upload(client, third, sent(third)))).to.equal('STORAGE_FULL');
        await blobs.delete({ clientId: client.clientId, digest: digestOf(first) });
        await upload(client, third, sent(third));
        restart();
      });

      it('counts an output that the client makes its own, without sending it', async () => {
        const client = clientHolder(fresh('c'));
        const [first, second] = [freshBytes(20), freshBytes(20)];
        restart({ maxClientBytes: 4096 });
        for (const output of [first, second]) {
          await put({ kind: 'output', id: fresh('j'), clientId: client.clientId }, output);
        }
        await upload(client, first, sent());
        await upload(client, first, sent());
        expect(await reasonOf(upload(client, second, sent()))).to.equal('STORAGE_FULL');
        restart();
      });

      it('gives up a part an hour after its last byte, and the room that it took', async () => {
        const client = clientHolder(fresh('c'));
        const bytes = freshBytes(100);
        await upload(client, bytes, cut(bytes.subarray(0, 50))).catch(() => {});
        await blobs.sweep();
        expect((await blobs.uploadOffset(client, digestOf(bytes))).offset).to.equal(48);
        const age = `update blob_upload set last_byte_ms = last_byte_ms - 3600001 where holder_id = $1`;
        await store().transaction((em) => query(em, age, [client.id]));
        await blobs.sweep();
        expect((await blobs.uploadOffset(client, digestOf(bytes))).offset).to.equal(0);
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
        expect(await reasonOf(blobs.readAll(digestOf(some), 99))).to.match(/at most 99 are read/);
      });

      if (place === 'files') {
        it('keeps no plain byte in a file, and no file when the last use has ended', async () => {
          const client = clientHolder(fresh('c'));
          const bytes = Buffer.from('a secret that must not be found. '.repeat(5));
          await upload(client, bytes, sent(bytes));
          const files = () => readdirSync(join(folder, 'contents'));
          for (const file of files()) {
            expect(readFileSync(join(folder, 'contents', file)).includes('secret')).to.equal(false);
          }
          await blobs.sweep();
          const before = files().length;
          await blobs.delete({ clientId: client.clientId, digest: digestOf(bytes) });
          await blobs.sweep();
          expect(files()).to.have.length(before - 1);
        });

        it('goes on where a kill tore a chunk', async () => {
          const client = clientHolder(fresh('c'));
          const bytes = freshBytes(100);
          const before = new Set(readdirSync(join(folder, 'contents')));
          await upload(client, bytes, cut(bytes.subarray(0, 50))).catch(() => {});
          const [file] = readdirSync(join(folder, 'contents')).filter((name) => !before.has(name));
          appendFileSync(join(folder, 'contents', file ?? ''), 'torn');
          restart();
          const { offset } = await blobs.uploadOffset(client, digestOf(bytes));
          expect(offset).to.equal(48);
          await upload(client, bytes, sent(bytes.subarray(offset)), { offset });
          expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
        });
      }
    });
  }
});
