// BlobService and BillingService as a client meets them: over TLS, on the real server.
import { createHash, randomBytes } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';
import { expect } from 'chai';
import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import { BillingService, EarningsService } from '#gen/gapjunction/billing/v1/billing_pb';
import { BlobService, type UploadRequestSchema } from '#gen/gapjunction/blob/v1/blob_pb';
import { type ControlPlane, type Identity, startControlPlane } from '../../fakes/control-plane.ts';
import { failureOf } from '../../fakes/failure.ts';

type Message = MessageInitShape<typeof UploadRequestSchema>;

const KIB = 1024;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

const start = (bytes: Uint8Array, offset = 0): Message => ({
  kind: {
    case: 'start',
    value: { digest: sha256(bytes), sizeBytes: BigInt(bytes.length), offset: BigInt(offset) },
  },
});
const chunk = (bytes: Uint8Array): Message => ({ kind: { case: 'chunk', value: bytes } });

async function* sent(...messages: readonly Message[]): AsyncGenerator<Message> {
  yield* messages;
}

/** The bytes from `offset` on in messages of `messageBytes`. */
async function* chunked(bytes: Uint8Array, offset: number, messageBytes: number) {
  yield start(bytes, offset);
  for (let at = offset; at < bytes.length; at += messageBytes) {
    yield chunk(bytes.subarray(at, at + messageBytes));
  }
}

describe('BlobService', () => {
  let plane: ControlPlane;
  let ada: Identity;
  let blobs: Client<typeof BlobService>;
  let foreign: Client<typeof BlobService>;
  before(async () => {
    plane = await startControlPlane();
    ada = await plane.newClient('Ada');
    blobs = plane.clientFor(BlobService, ada);
    foreign = plane.clientFor(BlobService, await plane.newClient('Eve'));
  });
  after(() => plane.stop());

  async function download(bytes: Uint8Array, offset = 0): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const message of blobs.download({ digest: sha256(bytes), offset: BigInt(offset) })) {
      expect(message.chunk.length).to.be.within(1, 256 * KIB);
      chunks.push(message.chunk);
    }
    return Buffer.concat(chunks);
  }

  for (const [what, sizeBytes, messageBytes] of [
    ['nothing', 0, 1],
    ['an input', 100 * KIB, 64 * KIB],
    ['a large module', 3 * KIB * KIB + 12_345, 1024 * KIB],
  ] as const) {
    it(`gives back ${what} of ${sizeBytes} bytes, from any offset`, async () => {
      const bytes = randomBytes(sizeBytes);
      const { sizeBytes: answered } = await blobs.upload(chunked(bytes, 0, messageBytes));
      expect(answered).to.equal(BigInt(sizeBytes));
      expect((await download(bytes)).equals(bytes)).to.equal(true);
      const middle = Math.floor(sizeBytes / 3);
      expect((await download(bytes, middle)).equals(bytes.subarray(middle))).to.equal(true);
      expect(await download(bytes, sizeBytes)).to.have.length(0);
      expect((await blobs.getUploadOffset({ digest: sha256(bytes) })).complete).to.equal(true);
    });
  }

  it('goes on after the connection was cut, with what it has', async () => {
    const bytes = randomBytes(1536 * KIB);
    const cut = new AbortController();
    const stored = async () => (await blobs.getUploadOffset({ digest: sha256(bytes) })).offset;
    async function* cutInTheMiddle(): AsyncGenerator<Message> {
      yield start(bytes);
      yield chunk(bytes.subarray(0, 700 * KIB));
      // Cut only after some of it was stored, which the server tells.
      while ((await stored()) < 512n * 1024n);
      cut.abort();
    }
    const upload = plane
      .clientFor(BlobService, ada)
      .upload(cutInTheMiddle(), { signal: cut.signal });
    expect(await failureOf(upload)).to.have.property('code', 'Canceled');
    const offset = Number(await stored());
    expect(offset).to.equal(512 * KIB);
    await blobs.upload(chunked(bytes, offset, 512 * KIB));
    expect((await download(bytes)).equals(bytes)).to.equal(true);
  });

  it('takes what it has without its bytes, even when they come all the same', async () => {
    const bytes = randomBytes(2048 * KIB);
    await blobs.upload(chunked(bytes, 0, 1024 * KIB));
    expect((await blobs.upload(sent(start(bytes)))).sizeBytes).to.equal(BigInt(bytes.length));
    expect((await blobs.upload(chunked(bytes, 0, 1024 * KIB))).sizeBytes).to.equal(
      BigInt(bytes.length),
    );
  });

  it('shows a blob of another client as one that is not there', async () => {
    const bytes = randomBytes(100);
    await blobs.upload(sent(start(bytes), chunk(bytes)));
    const digest = sha256(bytes);
    const reading = Array.fromAsync(foreign.download({ digest }));
    expect(await failureOf(reading)).to.include({ code: 'NotFound', reason: 'BLOB_UNKNOWN' });
    expect(await failureOf(foreign.deleteBlob({ digest }))).to.include({
      code: 'NotFound',
      reason: 'BLOB_UNKNOWN',
    });
    expect(await foreign.getUploadOffset({ digest })).to.include({ offset: 0n, complete: false });
    const claiming = foreign.upload(sent(start(bytes)));
    expect(await failureOf(claiming)).to.have.property('reason', 'SIZE_MISMATCH');
  });

  it('forgets a blob that its client deletes', async () => {
    const bytes = randomBytes(100);
    const digest = sha256(bytes);
    await blobs.upload(sent(start(bytes), chunk(bytes)));
    await blobs.deleteBlob({ digest });
    expect(await failureOf(blobs.deleteBlob({ digest }))).to.have.property(
      'reason',
      'BLOB_UNKNOWN',
    );
    expect(await failureOf(download(bytes))).to.have.property('reason', 'BLOB_UNKNOWN');
  });

  describe('refuses, with a reason to act on,', () => {
    const bytes = randomBytes(100);
    const digest = sha256(bytes);
    const declared = (value: Partial<{ sizeBytes: bigint; offset: bigint; attemptId: string }>) =>
      sent({
        kind: {
          case: 'start',
          value: { digest, sizeBytes: 100n, offset: 0n, attemptId: '', ...value },
        },
      });
    const uploads: readonly [string, () => AsyncIterable<Message>, string][] = [
      ['a stream without a message', () => sent(), 'UPLOAD_OUT_OF_ORDER'],
      ['a chunk before the start', () => sent(chunk(bytes)), 'UPLOAD_OUT_OF_ORDER'],
      ['two starts', () => sent(start(bytes), start(bytes)), 'UPLOAD_OUT_OF_ORDER'],
      [
        'a start between chunks',
        () => sent(start(bytes), chunk(bytes.subarray(0, 50)), start(bytes, 50)),
        'UPLOAD_OUT_OF_ORDER',
      ],
      ['wrong bytes', () => sent(start(bytes), chunk(randomBytes(100))), 'DIGEST_MISMATCH'],
      ['too few bytes', () => sent(start(bytes), chunk(bytes.subarray(1))), 'SIZE_MISMATCH'],
      ['too many bytes', () => sent(start(bytes), chunk(bytes), chunk(bytes)), 'SIZE_MISMATCH'],
      ['a gap', () => sent(start(bytes, 10), chunk(bytes.subarray(10))), 'OFFSET_MISMATCH'],
      [
        'an offset that no number in JavaScript is',
        () => declared({ offset: 2n ** 64n - 1n }),
        'OFFSET_MISMATCH',
      ],
      [
        'an attempt, which only a node names',
        () => declared({ attemptId: 'a-x' }),
        'ATTEMPT_NOT_YOURS',
      ],
    ];
    for (const [what, messages, reason] of uploads) {
      it(what, async () => {
        const failure = await failureOf(blobs.upload(messages()));
        expect(failure).to.have.property('reason', reason);
        expect((await blobs.getUploadOffset({ digest })).complete).to.equal(false);
      });
    }

    it('a blob above 64 MiB', async () => {
      const failure = await failureOf(
        blobs.upload(declared({ sizeBytes: 64n * 1024n * 1024n + 1n })),
      );
      expect(failure).to.have.property('code', 'InvalidArgument');
    });

    it('a download from behind the end', async () => {
      await blobs.upload(sent(start(bytes), chunk(bytes)));
      const failure = await failureOf(download(bytes, 101));
      expect(failure).to.include({ code: 'OutOfRange', reason: 'OFFSET_BEYOND_END' });
    });
  });

  it('shows a client its own money, and only that', async () => {
    const grace = await plane.newClient('Grace');
    await plane.clientFor(ClientAdminService, plane.operator).creditClient({
      requestId: 'r-1',
      clientId: grace.id,
      amountMicrocents: 5_000_000n,
    });
    const balance = (identity: Identity) =>
      plane.clientFor(BillingService, identity).getBalance({});
    expect(await balance(grace)).to.include({
      availableMicrocents: 5_000_000n,
      heldMicrocents: 0n,
    });
    expect(await balance(ada)).to.include({ availableMicrocents: 0n, heldMicrocents: 0n });
    const earnings = plane.clientFor(EarningsService, ada).getEarnings({});
    expect(await failureOf(earnings)).to.have.property('reason', 'WRONG_ROLE');
  });
});
