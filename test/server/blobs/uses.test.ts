// Who has a blob, who may read it, and when it goes.
import { expect } from 'chai';
import { clientHolder } from '../../../server/blobs/blob.ts';
import {
  cut,
  digestOf,
  fresh,
  freshBytes,
  LIMITS,
  reasonOf,
  sent,
  onEachBlobStore,
} from './blob-world.ts';

onEachBlobStore('uses of blobs', (world) => {
  const { upload, read, isReadable, use, endUse, put, restart, store } = world;

  for (const length of [20, 100]) {
    it(`keeps ${length} equal bytes of two clients once, and each client's from the other`, async () => {
      const [one, two] = [clientHolder(fresh('c')), clientHolder(fresh('c'))];
      const bytes = freshBytes(length);
      await upload(one, bytes, sent(bytes));
      expect(await isReadable(two.clientId, bytes)).to.equal(false);
      // Knowing the digest is not having the bytes.
      expect(await reasonOf(upload(two, bytes, sent()))).to.equal('SIZE_MISMATCH');
      expect((await world.blobs.uploadOffset(two, digestOf(bytes))).complete).to.equal(false);
      expect(await isReadable(two.clientId, bytes)).to.equal(false);
      // Its owner does not send them twice.
      await upload(one, bytes, sent());

      await upload(two, bytes, sent(bytes));
      await world.blobs.delete({ clientId: one.clientId, digest: digestOf(bytes) });
      expect(await isReadable(one.clientId, bytes)).to.equal(false);
      expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
      await world.blobs.delete({ clientId: two.clientId, digest: digestOf(bytes) });
      expect(await world.blobs.open(digestOf(bytes))).to.equal(null);
    });
  }

  it("deletes nothing that is not the client's", async () => {
    const [owner, stranger] = [clientHolder(fresh('c')), fresh('c')];
    const bytes = freshBytes(20);
    await upload(owner, bytes, sent(bytes));
    const foreign = world.blobs.delete({ clientId: stranger, digest: digestOf(bytes) });
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
    const deleting = () =>
      world.blobs.delete({ clientId: client.clientId, digest: digestOf(bytes) });
    expect(await reasonOf(deleting())).to.equal('BLOB_IN_USE');
    await endUse(job, bytes);
    await deleting();
    expect(await world.blobs.open(digestOf(bytes))).to.equal(null);
  });

  it('lets no job use what its client does not have', async () => {
    const [owner, clientId] = [clientHolder(fresh('c')), fresh('c')];
    const bytes = freshBytes(20);
    await upload(owner, bytes, sent(bytes));
    const job = { kind: 'job', id: fresh('j'), clientId } as const;
    expect(await reasonOf(use(job, bytes))).to.equal('BLOB_UNKNOWN');
    const asking = store().read((em) =>
      world.blobs.requireOwned(em, { clientId, digest: digestOf(bytes) }),
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
    const inRow = await store().transaction((em) => world.blobs.readShort(em, digestOf(input)));
    expect(Buffer.from(inRow ?? [])).to.deep.equal(Buffer.from(input));
    await endUse(job, input);
    await world.blobs.sweep();
    expect(await world.blobs.open(digestOf(input))).to.equal(null);
    expect(await read(output)).to.deep.equal(Buffer.from(output));
    await world.blobs.delete({ clientId, digest: digestOf(output) });
    expect(await world.blobs.open(digestOf(output))).to.equal(null);
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
          world.blobs.claimOutput(em, { clientId, attemptId, jobId, digest }),
        );
      expect(await claim(digestOf(earlier))).to.equal(null);
      expect(await claim(digestOf(bytes))).to.deep.equal({ sizeBytes: length });
      expect(await isReadable(clientId, bytes)).to.equal(true);
      await world.blobs.sweep();
      expect(await world.blobs.open(digestOf(earlier))).to.equal(null);
      expect(await read(bytes)).to.deep.equal(Buffer.from(bytes));
    });
  }

  it('stores for a client up to its share, what it began to upload with it', async () => {
    const client = clientHolder(fresh('c'));
    const [first, second, third] = [freshBytes(8000), freshBytes(20), freshBytes(5000)];
    restart({ maxClientBytes: 8000 + 4096 });
    await upload(client, first, cut(first.subarray(0, 500))).catch(() => {});
    expect(await reasonOf(upload(client, third, sent(third)))).to.equal('STORAGE_FULL');
    await upload(client, second, sent(second));
    expect(await reasonOf(upload(client, freshBytes(1), sent()))).to.equal('SIZE_MISMATCH');
    const input = put({ kind: 'job', id: fresh('j'), clientId: client.clientId }, freshBytes(1));
    expect(await reasonOf(input)).to.equal('STORAGE_FULL');
    // A blob that it has counts once, however many jobs use it.
    await put({ kind: 'job', id: fresh('j'), clientId: client.clientId }, second);
    const { offset } = await world.blobs.uploadOffset(client, digestOf(first));
    await upload(client, first, sent(first.subarray(offset)), { offset });
    expect(await reasonOf(upload(client, third, sent(third)))).to.equal('STORAGE_FULL');
    await world.blobs.delete({ clientId: client.clientId, digest: digestOf(first) });
    await upload(client, third, sent(third));
    restart();
  });

  it('counts an output, refuses none, and lets the client make it its own in no more room', async () => {
    const client = clientHolder(fresh('c'));
    const [first, second, third] = [freshBytes(20), freshBytes(20), freshBytes(20)];
    restart({ maxClientBytes: 4096 });
    for (const output of [first, second]) {
      await put({ kind: 'output', id: fresh('j'), clientId: client.clientId }, output);
    }
    await upload(client, first, sent());
    await upload(client, first, sent());
    expect(await reasonOf(upload(client, third, sent(third)))).to.equal('STORAGE_FULL');
    await world.blobs.delete({ clientId: client.clientId, digest: digestOf(second) });
    expect(await reasonOf(upload(client, third, sent(third)))).to.equal('STORAGE_FULL');
    await world.blobs.delete({ clientId: client.clientId, digest: digestOf(first) });
    await upload(client, third, sent(third));
    restart();
  });

  it('tells a reader whose blob is erased under it, and sends no half as the whole', async () => {
    const client = clientHolder(fresh('c'));
    const bytes = freshBytes(100);
    await upload(client, bytes, sent(bytes));
    const chunks = (await world.blobs.open(digestOf(bytes)))?.chunks(0);
    expect((await chunks?.next())?.value).to.have.length(LIMITS.chunkBytes);
    await world.blobs.delete({ clientId: client.clientId, digest: digestOf(bytes) });
    await world.blobs.sweep();
    expect(await reasonOf(Array.fromAsync(chunks ?? []))).to.equal('BLOB_UNKNOWN');
  });
});
