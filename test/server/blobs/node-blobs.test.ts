// What a node may read and upload, as its leases say.
import { createHash, randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { pino } from 'pino';
import {
  BlobService,
  DownloadRequestSchema,
  GetUploadOffsetRequestSchema,
  type UploadRequest,
  UploadRequestSchema,
} from '#gen/gapjunction/blob/v1/blob_pb';
import { clientHolder, DEFAULT_BLOB_LIMITS } from '../../../server/blobs/blob.ts';
import { type BlobLeases, blobService } from '../../../server/blobs/blob-service.ts';
import { type Blobs, createBlobs } from '../../../server/blobs/blobs.ts';
import { contentsInRows } from '../../../server/blobs/contents-in-rows.ts';
import { systemClock } from '../../../server/clock.ts';
import { RpcError } from '../../../server/rpc/error.ts';
import type { CallContext, Handlers } from '../../../server/rpc/service.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { storeTemplate } from '../../fakes/store-template.ts';

const CLIENT = 'c-a';
const input = randomBytes(1000);
const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

/** One lease: the node n-a holds the attempt a-a, whose order names the input. */
const leases: BlobLeases = {
  mayRead: async (nodeId, attemptId, digest) =>
    nodeId === 'n-a' && attemptId === 'a-a' && digestOf(input).equals(digest),
  mayUpload: async (nodeId, attemptId) =>
    nodeId === 'n-a' && attemptId === 'a-a' ? { clientId: CLIENT, maxOutputBytes: 500 } : null,
};

function nodeCall(nodeId: string): CallContext {
  return {
    caller: {
      kind: 'node',
      nodeId,
      serial: '1',
      keyId: new Uint8Array(32),
      expiresAtMs: Number.MAX_SAFE_INTEGER,
      chain: [],
    },
    requestId: 'r',
    address: '127.0.0.1',
    signal: new AbortController().signal,
    log: pino({ level: 'silent' }),
  };
}

describe('the blobs of a node', () => {
  let store: OpenStore;
  let blobs: Blobs;
  let service: Handlers<typeof BlobService>;
  before(async () => {
    store = await openStore(
      { kind: 'memory' },
      { clock: systemClock, exclusive: true, template: await storeTemplate() },
    );
    blobs = createBlobs({
      store,
      contents: contentsInRows(store),
      clock: systemClock,
      limits: DEFAULT_BLOB_LIMITS,
      random: (bytes) => randomBytes(bytes),
    });
    service = blobService({ blobs, leases }).handlers as unknown as Handlers<typeof BlobService>;
    async function* pieces() {
      yield input;
    }
    const start = { digest: digestOf(input), sizeBytes: input.length, offset: 0 };
    await blobs.upload({ uploader: clientHolder(CLIENT), start, pieces: pieces() });
  });
  after(() => store.close());

  async function download(nodeId: string, attemptId: string, digest: Uint8Array): Promise<Buffer> {
    const request = create(DownloadRequestSchema, { digest, attemptId });
    const messages = await Array.fromAsync(service.download(request, nodeCall(nodeId)));
    return Buffer.concat(messages.map(({ chunk }) => chunk ?? new Uint8Array()));
  }

  async function upload(nodeId: string, attemptId: string, bytes: Uint8Array) {
    async function* requests(): AsyncGenerator<UploadRequest> {
      const value = { digest: digestOf(bytes), sizeBytes: BigInt(bytes.length), attemptId };
      yield create(UploadRequestSchema, { kind: { case: 'start', value } });
      yield create(UploadRequestSchema, { kind: { case: 'chunk', value: bytes } });
    }
    return service.upload(requests(), nodeCall(nodeId));
  }

  async function reasonOf(work: Promise<unknown>): Promise<string> {
    const error = await work.then(
      () => null,
      (refusal: unknown) => refusal,
    );
    expect(error).to.be.instanceOf(RpcError);
    return `${(error as RpcError).code} ${(error as RpcError).reason}`;
  }

  it('are those of its leases, whole', async () => {
    expect((await download('n-a', 'a-a', digestOf(input))).equals(input)).to.equal(true);
  });

  it("are nobody else's: not of another node, attempt or blob", async () => {
    const other = randomBytes(10);
    for (const [nodeId, attemptId, digest] of [
      ['n-b', 'a-a', digestOf(input)],
      ['n-a', 'a-b', digestOf(input)],
      ['n-a', '', digestOf(input)],
      ['n-a', 'a-a', digestOf(other)],
    ] as const) {
      expect(await reasonOf(download(nodeId, attemptId, digest))).to.equal(
        'NOT_FOUND BLOB_UNKNOWN',
      );
    }
  });

  it('are taken from the holder of the lease alone, and within the output limit', async () => {
    const output = randomBytes(500);
    expect(await reasonOf(upload('n-b', 'a-a', output))).to.equal('NOT_FOUND NOT_FOUND');
    expect(await reasonOf(upload('n-a', 'a-b', output))).to.equal('NOT_FOUND NOT_FOUND');
    expect(await reasonOf(upload('n-a', 'a-a', randomBytes(501)))).to.equal(
      'INVALID_ARGUMENT BLOB_TOO_LARGE',
    );
    const asked = create(GetUploadOffsetRequestSchema, {
      digest: digestOf(output),
      attemptId: 'a-a',
    });
    expect(await reasonOf(service.getUploadOffset(asked, nodeCall('n-b')))).to.equal(
      'NOT_FOUND NOT_FOUND',
    );
    await upload('n-a', 'a-a', output);
    expect(await service.getUploadOffset(asked, nodeCall('n-a'))).to.deep.equal({
      offset: 500n,
      complete: true,
    });
    expect(await blobs.isReadable({ clientId: CLIENT, digest: digestOf(output) })).to.equal(false);
  });
});
