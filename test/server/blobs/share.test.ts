// What a client may store: one that takes more would take it from all others.
import { expect } from 'chai';
import { clientHolder } from '../../../server/blobs/blob.ts';
import { saveQuota } from '../../../server/clients/quota-store.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { cut, digestOf, fresh, freshBytes, onEachBlobStore, sent } from './blob-world.ts';

const LEAST_COUNTED_BYTES = 4096;
/** What was touched in this very millisecond is stale. */
const NO_TIME_MS = -1;

onEachBlobStore("a client's share of the store", (world) => {
  const { upload, use, restart, store } = world;
  afterEach(() => restart());

  /** How many of these were done. */
  async function done(works: readonly Promise<unknown>[]): Promise<number> {
    const outcomes = await Promise.allSettled(works);
    return outcomes.filter(({ status }) => status === 'fulfilled').length;
  }

  for (const length of [20, 100]) {
    it(`has room for one blob of ${length} bytes, not for ten that come at once`, async () => {
      const client = clientHolder(fresh('c'));
      restart({ maxClientBytes: LEAST_COUNTED_BYTES });
      const uploads = Array.from({ length: 10 }, () => {
        const bytes = freshBytes(length);
        return upload(client, bytes, sent(bytes));
      });
      expect(await done(uploads)).to.equal(1);
    });
  }

  it('is not free while a job that was cancelled keeps its input, nor while another uses it', async () => {
    const { clientId, ...client } = clientHolder(fresh('c'));
    restart({ maxClientBytes: LEAST_COUNTED_BYTES });
    const [input, module, next] = [freshBytes(100), freshBytes(20), freshBytes(100)];
    const full = async () => {
      const refusal = await expectRefusal(
        upload({ ...client, clientId }, next, sent(next)),
        'RESOURCE_EXHAUSTED',
        'STORAGE_FULL',
      );
      expect(refusal.message).to.contain('job ack');
    };
    await upload({ ...client, clientId }, input, sent(input));
    const digest = digestOf(input);
    const jobs = [fresh('j'), fresh('j')].map((id) => ({ kind: 'job', id, clientId }) as const);
    for (const job of jobs) {
      await store().transaction((em) =>
        world.blobs.claimUpload(em, { clientId, jobId: job.id, digest }),
      );
      await use(job, input);
    }
    for (const { id: jobId } of jobs) {
      await full();
      const ended = { jobId, clientId, module: digestOf(module), input: digest };
      await store().transaction((em) => world.blobs.endJob(em, ended));
    }
    for (const { id: jobId } of jobs) {
      await full();
      await store().transaction((em) =>
        world.blobs.giveUpLeft(em, [{ jobId, clientId, digests: [digest], attemptIds: [] }]),
      );
    }
    await upload({ ...client, clientId }, next, sent(next));
  });

  it('is what an operator set, and a refusal says how much of it is used', async () => {
    const client = clientHolder(fresh('c'));
    const bytes = LEAST_COUNTED_BYTES;
    await store().transaction((em) =>
      saveQuota(em, client.clientId, {
        jobsInFlight: 0,
        jobsQueued: 0,
        fuelPerHour: 0n,
        blobBytes: 2 * bytes,
        weight: 0,
      }),
    );
    for (const length of [20, 100]) {
      const blob = freshBytes(length);
      await upload(client, blob, sent(blob));
    }
    const beyond = [freshBytes(20), freshBytes(100)];
    for (const blob of beyond) {
      const { metadata } = await expectRefusal(
        upload(client, blob, sent(blob)),
        'RESOURCE_EXHAUSTED',
        'STORAGE_FULL',
      );
      expect(metadata).to.deep.equal({
        quota: 'blob_bytes',
        limit: String(2 * bytes),
        used: String(2 * bytes),
      });
    }
    const other = clientHolder(fresh('c'));
    for (const blob of [...beyond, freshBytes(20)]) await upload(other, blob, sent(blob));
  });

  it('is free again when an upload that was begun and left is given up', async () => {
    const client = clientHolder(fresh('c'));
    restart({ maxClientBytes: LEAST_COUNTED_BYTES, partialUploadMs: NO_TIME_MS });
    const [left, next] = [freshBytes(100), freshBytes(100)];
    await upload(client, left, cut(left.subarray(0, 40))).catch(() => {});
    await expectRefusal(upload(client, next, sent(next)), 'RESOURCE_EXHAUSTED', 'STORAGE_FULL');
    await world.blobs.sweep();
    await upload(client, next, sent(next));
  });
});
