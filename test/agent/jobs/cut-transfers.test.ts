// Blobs to and from the control plane over a link that is cut anywhere, again and again.
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';
import fc from 'fast-check';

import {
  DownloadResponseSchema,
  GetUploadOffsetResponseSchema,
  UploadResponseSchema,
  type UploadRequest,
} from '#gen/gapjunction/blob/v1/blob_pb';
import type { Connection } from '../../../agent/control-plane/connection.ts';
import { BlobUnavailable, download } from '../../../agent/jobs/download.ts';
import { uploadOutput } from '../../../agent/jobs/upload.ts';
import { digest } from '../../../protocol/bill/digest.ts';
import { refusal } from '../../fakes/failure.ts';

const CHUNK_BYTES = 256 * 1024;
const cutOff = () => new ConnectError('cut', Code.Unavailable);

/** A control plane that has one blob, and is cut after so many bytes of each call, in turn. */
class CutStore {
  readonly stored: Uint8Array[] = [];
  isWhole = false;
  /** How a call fails, unless it is null. */
  fail: () => ConnectError | null = () => null;
  readonly #cuts: number[];
  readonly #bytes: Uint8Array;
  readonly connection = { client: () => this } as unknown as Connection;

  constructor(bytes: Uint8Array, cuts: readonly number[]) {
    this.#bytes = bytes;
    this.#cuts = [...cuts];
  }

  get storedBytes(): Buffer {
    return Buffer.concat(this.stored);
  }

  async getUploadOffset() {
    const offset = BigInt(this.storedBytes.length);
    return create(GetUploadOffsetResponseSchema, { offset, complete: this.isWhole });
  }

  async upload(requests: AsyncIterable<UploadRequest>) {
    let left = this.#cuts.shift() ?? Infinity;
    for await (const { kind } of requests) {
      if (kind.case === 'start')
        expect(Number(kind.value.offset)).to.equal(this.storedBytes.length);
      if (kind.case !== 'chunk') continue;
      left -= kind.value.length;
      // What is less than a chunk is not kept.
      if (left < 0) throw cutOff();
      this.stored.push(kind.value);
    }
    this.isWhole = true;
    return create(UploadResponseSchema, { sizeBytes: BigInt(this.storedBytes.length) });
  }

  async *download({ offset = 0n }: { offset?: bigint }) {
    const failure = this.fail();
    if (failure !== null) throw failure;
    let left = this.#cuts.shift() ?? Infinity;
    for (let at = Number(offset); at < this.#bytes.length; at += CHUNK_BYTES) {
      const chunk = this.#bytes.subarray(at, at + CHUNK_BYTES);
      left -= chunk.length;
      if (left < 0) {
        yield create(DownloadResponseSchema, { chunk: chunk.subarray(0, chunk.length + left) });
        throw cutOff();
      }
      yield create(DownloadResponseSchema, { chunk });
    }
  }
}

describe('a transfer that is cut', () => {
  const { signal } = new AbortController();
  const attempt = { attemptId: 'a-1', headers: {}, signal };
  const clock = {
    now: () => 0,
    after: (_: number, task: () => void) => (setImmediate(task), () => {}),
  };
  const downloader = ({ connection }: CutStore) => ({
    link: { connection: () => Promise.resolve(connection) },
    clock,
    random: () => 0,
  });
  const plan = fc.record({
    sizeBytes: fc.integer({ min: 1, max: 5 * CHUNK_BYTES }),
    cuts: fc.array(fc.integer({ min: 1, max: 3 * CHUNK_BYTES }), { maxLength: 12 }),
  });
  const bytesOf = (sizeBytes: number) =>
    Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 7 + (at >> 8)) & 0xff);

  it('loses and doubles no byte of an output on its way up', async () => {
    await fc.assert(
      fc.asyncProperty(plan, async ({ sizeBytes, cuts }) => {
        const bytes = bytesOf(sizeBytes);
        const store = new CutStore(bytes, cuts);
        while (!store.isWhole) {
          await uploadOutput(store.connection, bytes, attempt).catch((error: unknown) => {
            expect(error).to.be.instanceOf(ConnectError);
          });
        }
        expect(Buffer.compare(store.storedBytes, bytes)).to.equal(0);
      }),
      { numRuns: 20 },
    );
  });

  it('loses and doubles no byte of an input on its way down, however often it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(plan, async ({ sizeBytes, cuts }) => {
        const bytes = bytesOf(sizeBytes);
        const ref = { digest: digest(bytes), sizeBytes: BigInt(sizeBytes) };
        const store = new CutStore(bytes, cuts);
        const received = await download(downloader(store), ref as never, attempt);
        expect(Buffer.compare(received, bytes)).to.equal(0);
      }),
      { numRuns: 20 },
    );
  });

  it('is waited for while the control plane is away, however long that is', async () => {
    const bytes = bytesOf(10);
    const store = new CutStore(
      bytes,
      Array.from({ length: 1_000 }, () => 0),
    );
    const ref = { digest: digest(bytes), sizeBytes: 10n };
    const received = await download(downloader(store), ref as never, attempt);
    expect(Buffer.compare(received, bytes)).to.equal(0);
  });

  it('is waited for no longer than its attempt is wanted', async () => {
    const bytes = bytesOf(10);
    const stop = new AbortController();
    const store = new CutStore(bytes, []);
    let failures = 0;
    store.fail = () => {
      failures++;
      if (failures === 20) stop.abort(new Error('stopped'));
      return cutOff();
    };
    const ref = { digest: digest(bytes), sizeBytes: 10n };
    const failure: unknown = await download(downloader(store), ref as never, {
      ...attempt,
      signal: stop.signal,
    }).catch((error: unknown) => error);
    expect(failure).to.equal(stop.signal.reason);
    expect(failures).to.equal(20);
  });

  it('is given up where a control plane that is there gives not one byte', async () => {
    const bytes = bytesOf(10);
    const store = new CutStore(bytes, []);
    let calls = 0;
    store.fail = () => {
      calls++;
      return refusal(Code.Internal, 'INTERNAL');
    };
    const ref = { digest: digest(bytes), sizeBytes: 10n };
    const failure: unknown = await download(downloader(store), ref as never, attempt).catch(
      (error: unknown) => error,
    );
    expect(failure).to.be.instanceOf(BlobUnavailable);
    expect(calls).to.equal(8);
  });
});
