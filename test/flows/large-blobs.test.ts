// 64 MiB up and down, with replicas killed in the middle: what the command does by itself.
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { downloadBlob, uploadBlob } from '../../cli/blobs.ts';
import { digest } from '../../protocol/bill/digest.ts';
import { whenAll } from '../all.ts';
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { startRedis, type TestRedis } from '../fakes/redis.ts';
import { ReplicasWorld, type Replica } from './replicas-world.ts';

const BLOB_BYTES = 64 * 2 ** 20;
/** Of 256: somewhere in the middle. */
const CUT_AT_MESSAGE = 100;

whenAll('a blob of 64 MiB', () => {
  let postgresql: Postgresql;
  let redis: TestRedis;
  let world: ReplicasWorld;
  before(async () => {
    postgresql = await startPostgresql();
    redis = await startRedis(['--maxmemory-policy', 'noeviction']);
    world = new ReplicasWorld({ databaseUrl: postgresql.newDatabase(), redisUrl: redis.url });
  });
  after(async () => {
    await world.dispose();
    await redis.stop();
    postgresql.stop();
  });

  /** The same messages; the replica dies when so many have passed. */
  async function* killing<T>(messages: AsyncIterable<T>, { program }: Replica) {
    let count = 0;
    for await (const message of messages) {
      if (++count === CUT_AT_MESSAGE) await program.stop('SIGKILL');
      yield message;
    }
  }

  it('is uploaded and downloaded whole through the death of the replica that it goes to', async () => {
    const [first, second] = [await world.start(), await world.start()];
    const client = await world.client(first);
    const both = { ...first, address: `${first.address},${second.address}` };
    const blobs = world.connect(both, client).client(BlobService);
    const bytes = randomBytes(BLOB_BYTES);

    let uploads = 0;
    const uploaded = await uploadBlob(
      {
        ...blobs,
        upload: (requests, options) =>
          blobs.upload(++uploads === 1 ? killing(requests as never, first) : requests, options),
      },
      bytes,
    );
    expect(uploads).to.be.greaterThan(1);
    expect(uploaded).to.deep.equal(Buffer.from(digest(bytes)));

    const port = Number(new URL(`https://${first.address}`).port);
    const again = await world.start({ port });
    let downloads = 0;
    const ref = { digest: uploaded, sizeBytes: BigInt(bytes.length) };
    const downloaded = await downloadBlob(
      {
        ...blobs,
        download(request, options) {
          const responses = blobs.download(request, options);
          return ++downloads === 1 ? killing(responses, second) : responses;
        },
      },
      ref,
    );
    expect(downloads).to.be.greaterThan(1);
    expect(Buffer.compare(downloaded, bytes)).to.equal(0);
    expect(again.program.running).to.equal(true);
  });
});
