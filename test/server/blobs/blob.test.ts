import { expect } from 'chai';
import fc from 'fast-check';
import { DIGEST_OF_NOTHING } from '../../../protocol/bill/digest.ts';
import {
  checkUploadStart,
  countedBytes,
  DEFAULT_BLOB_LIMITS,
  uploadOffset,
} from '../../../server/blobs/blob.ts';
import { openChunk, SEAL_BYTES, sealChunk } from '../../../server/blobs/blob-cipher.ts';
import { ChunkCutter } from '../../../server/blobs/chunk-cutter.ts';
import { randomBytes } from 'node:crypto';

const digest = new Uint8Array(32).fill(7);

describe('what an upload declares', () => {
  const { maxBlobBytes } = DEFAULT_BLOB_LIMITS;
  const start = (sizeBytes: number, of: Uint8Array = digest) => ({
    digest: of,
    sizeBytes,
    offset: 0,
  });

  it('may be as large as the largest blob, and no byte more', () => {
    checkUploadStart(start(maxBlobBytes), maxBlobBytes);
    expect(() => checkUploadStart(start(maxBlobBytes + 1), maxBlobBytes))
      .to.throw()
      .with.property('reason', 'BLOB_TOO_LARGE');
  });

  it('is empty only under the digest of nothing', () => {
    checkUploadStart(start(0, DIGEST_OF_NOTHING), maxBlobBytes);
    for (const wrong of [start(0), start(1, DIGEST_OF_NOTHING)]) {
      expect(() => checkUploadStart(wrong, maxBlobBytes))
        .to.throw()
        .with.property('reason', 'SIZE_MISMATCH');
    }
  });

  it('goes on at what is stored or begins again, and tells any other where to go on', () => {
    expect(uploadOffset({ digest, sizeBytes: 100, offset: 64 }, 64)).to.equal(64);
    expect(uploadOffset({ digest, sizeBytes: 100, offset: 0 }, 64)).to.equal(0);
    for (const offset of [1, 63, 65, 100, Number.MAX_SAFE_INTEGER, 2 ** 64]) {
      expect(() => uploadOffset({ digest, sizeBytes: 100, offset }, 64))
        .to.throw()
        .deep.include({ reason: 'OFFSET_MISMATCH', metadata: { offset: '64' } });
    }
  });

  it('counts small blobs by their rows, so that a million of one byte cannot fill the disk', () => {
    expect([0, 1, 4096, 4097].map(countedBytes)).to.deep.equal([0, 4096, 4096, 4097]);
  });
});

describe('cutting a stream into chunks', () => {
  it('loses and adds no byte, however the pieces are cut', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 50 }));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 17 }), pieces, (chunkBytes, some) => {
        const cutter = new ChunkCutter(chunkBytes);
        const chunks = some.flatMap((piece) => cutter.push(piece));
        for (const chunk of chunks) expect(chunk).to.have.length(chunkBytes);
        expect(cutter.rest().length).to.be.lessThan(chunkBytes);
        expect(Buffer.concat([...chunks, cutter.rest()])).to.deep.equal(Buffer.concat(some));
      }),
    );
  });
});

describe('a sealed chunk', () => {
  const key = randomBytes(32);
  const sealed = sealChunk({ key, index: 3, bytes: Buffer.from('the plain bytes') }, randomBytes);

  it('opens to its bytes, and hides them until then', () => {
    expect(Buffer.from(openChunk({ key, index: 3, sealed })).toString()).to.equal(
      'the plain bytes',
    );
    expect(Buffer.from(sealed).includes('plain')).to.equal(false);
    expect(sealed).to.have.length('the plain bytes'.length + SEAL_BYTES);
  });

  it('opens under no other key, at no other place, and with no bit changed', () => {
    expect(() => openChunk({ key: randomBytes(32), index: 3, sealed })).to.throw();
    expect(() => openChunk({ key, index: 2, sealed })).to.throw();
    for (let at = 0; at < sealed.length; at++) {
      const changed = Uint8Array.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => openChunk({ key, index: 3, sealed: changed })).to.throw();
      expect(() => openChunk({ key, index: 3, sealed: sealed.subarray(0, at) })).to.throw();
    }
  });
});
