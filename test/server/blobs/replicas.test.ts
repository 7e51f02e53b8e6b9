// One upload over two replicas, which know of each other by the database alone.
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { clientHolder } from '../../../server/blobs/blob.ts';
import { createBlobs } from '../../../server/blobs/blobs.ts';
import { contentsInRows } from '../../../server/blobs/contents-in-rows.ts';
import { systemClock } from '../../../server/clock.ts';
import { onEachStore } from '../../fakes/stores.ts';
import { cut, digestOf, fresh, freshBytes, LIMITS, reasonOf, sent } from './blob-world.ts';

onEachStore('an upload over two replicas', (store) => {
  const replica = () =>
    createBlobs({
      store: store(),
      contents: contentsInRows(store()),
      limits: LIMITS,
      clock: systemClock,
      random: (bytes) => randomBytes(bytes),
    });

  it('goes on at the other, and the stream that was left behind writes no more', async () => {
    const [a, b] = [replica(), replica()];
    const uploader = clientHolder(fresh('c'));
    const bytes = freshBytes(200);
    const digest = digestOf(bytes);
    const isHalf = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    async function* halting(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 96);
      isHalf.resolve();
      await goOn.promise;
      yield bytes.subarray(96);
    }
    const start = { digest, sizeBytes: bytes.length, offset: 0 };
    const left = reasonOf(a.upload({ uploader, start, pieces: halting() }));
    await isHalf.promise;
    const { offset } = await b.uploadOffset(uploader, digest);
    expect(offset).to.equal(96);
    // The other replica has taken over once it asks for the first bytes.
    async function* rest(): AsyncGenerator<Uint8Array> {
      goOn.resolve();
      expect(await left).to.equal('UPLOAD_TAKEN_OVER');
      yield bytes.subarray(offset);
    }
    await b.upload({ uploader, start: { ...start, offset }, pieces: rest() });
    expect(Buffer.from(await a.readAll(digest, 1000))).to.deep.equal(Buffer.from(bytes));
  });

  it('keeps no byte of a stream that lied, whichever of the two ended last', async () => {
    const [a, b] = [replica(), replica()];
    const uploader = clientHolder(fresh('c'));
    const bytes = freshBytes(200);
    const digest = digestOf(bytes);
    const start = { digest, sizeBytes: bytes.length, offset: 0 };
    const lied = Promise.withResolvers<void>();
    async function* honest(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 64);
      // From the start again, over there: what was stored is written over.
      const lie = a.upload({ uploader, start, pieces: cut(freshBytes(80)) });
      expect(await reasonOf(lie)).to.match(/was cut/);
      lied.resolve();
      yield bytes.subarray(64);
    }
    const upload = b.upload({ uploader, start, pieces: honest() });
    expect(await reasonOf(upload)).to.equal('UPLOAD_TAKEN_OVER');
    await lied.promise;
    expect(await b.open(digest)).to.equal(null);
    await b.upload({ uploader, start, pieces: sent(bytes) });
    expect(Buffer.from(await a.readAll(digest, 1000))).to.deep.equal(Buffer.from(bytes));
  });

  it('loses nothing when it is cut anywhere and goes on at the other, again and again', async () => {
    const plan = fc.record({
      bytes: fc.uint8Array({ minLength: 33, maxLength: 150 }),
      cuts: fc.array(fc.nat(150), { maxLength: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ bytes, cuts }) => {
        const replicas = [replica(), replica()] as const;
        const uploader = clientHolder(fresh('c'));
        const digest = digestOf(bytes);
        const start = { digest, sizeBytes: bytes.length };
        for (const [at, end] of cuts.entries()) {
          const blobs = replicas[at % 2 === 0 ? 0 : 1];
          const { offset } = await blobs.uploadOffset(uploader, digest);
          const part = bytes.subarray(offset, Math.min(end, bytes.length - 1));
          const pieces = cut(part);
          const reason = await reasonOf(
            blobs.upload({ uploader, start: { ...start, offset }, pieces }),
          );
          expect(reason).to.match(/was cut/);
        }
        const { offset } = await replicas[1].uploadOffset(uploader, digest);
        const pieces = sent(bytes.subarray(offset));
        await replicas[1].upload({ uploader, start: { ...start, offset }, pieces });
        const stored = await replicas[0].readAll(digest, 1000);
        expect(Buffer.from(stored)).to.deep.equal(Buffer.from(bytes));
      }),
      { numRuns: 12 },
    );
  });
});
