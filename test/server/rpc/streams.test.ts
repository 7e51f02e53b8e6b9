import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { JobService } from '#gen/gapjunction/job/v1/job_pb';
import { HeartbeatService } from '#gen/gapjunction/node/v1/heartbeat_pb';
import { serialHex } from '../../../protocol/identity/serial.ts';
import { type Handlers, implement } from '../../../server/rpc/service.ts';
import type { IssuedCertificate } from '../../fakes/authority.ts';
import { TestClock } from '../../fakes/clock.ts';
import { drain, failureOf } from '../../fakes/failure.ts';
import { startListener, type TestListener } from '../../fakes/listener.ts';

const ID = 'aaaaaaaaaaaaaaaaaaaa';
const CHUNK = new Uint8Array(256 * 1024);

/** What a handler saw of its call. */
class Seen {
  readonly aborted = Promise.withResolvers<void>();
  readonly ended = Promise.withResolvers<unknown>();
  received = 0;
  sent = 0;
}

describe('a stream', () => {
  const clock = new TestClock(Date.now());
  let seen: Seen;
  let rpc: TestListener;
  let node: IssuedCertificate;
  let client: IssuedCertificate;

  type Handle = Handlers<typeof HeartbeatService>['heartbeat'];
  let handle: Handle;
  const heartbeat = implement(HeartbeatService, {
    heartbeat: (requests, context) => handle(requests, context),
  });
  const echo: Handle = async function* (requests, { signal }) {
    const mine = seen;
    signal.addEventListener('abort', () => mine.aborted.resolve());
    try {
      // The server may speak first.
      yield { timestampMs: 0n };
      for await (const { timestampMs } of requests) {
        mine.received++;
        yield { timestampMs };
      }
    } finally {
      mine.ended.resolve(undefined);
    }
  };
  const blobs = {
    service: BlobService,
    handlers: {
      async upload(requests: AsyncIterable<unknown>) {
        for await (const _ of requests) seen.received++;
        return { sizeBytes: BigInt(seen.received) };
      },
      async *download() {
        const mine = seen;
        try {
          for (;;) {
            mine.sent++;
            yield { chunk: CHUNK };
          }
        } finally {
          mine.ended.resolve(undefined);
        }
      },
      getUploadOffset: async () => ({}),
      deleteBlob: async () => ({}),
    },
  };

  before(async () => {
    rpc = await startListener({ services: [heartbeat, blobs], clock });
    node = await rpc.authority.node(`n-${ID}`, {
      notAfter: new Date(clock.now() + 3_600_000),
    });
    client = await rpc.authority.client(`c-${ID}`);
  });
  after(() => rpc.stop());
  beforeEach(() => {
    handle = echo;
    seen = new Seen();
  });

  /** A heartbeat stream that stays open, and a way to send on it. */
  function openStream(identity: IssuedCertificate) {
    const writer = new PassThrough({ objectMode: true });
    const controller = new AbortController();
    const { signal } = controller;
    const stream = rpc.clientFor(HeartbeatService, identity).heartbeat(writer, { signal });
    const answers = stream[Symbol.asyncIterator]();
    return { writer, answers, controller };
  }

  it('lets the server speak first, and answers each message', async () => {
    const { writer, answers } = openStream(node);
    expect((await answers.next()).value.timestampMs).to.equal(0n);
    for (const timestampMs of [1n, 2n, 3n]) {
      writer.write({ timestampMs });
      expect((await answers.next()).value.timestampMs).to.equal(timestampMs);
    }
    writer.end();
    expect((await answers.next()).done).to.equal(true);
    await seen.ended.promise;
  });

  it('ends at once when the certificate is revoked, and its handler with it', async () => {
    const revoked = await rpc.authority.node(`n-${ID}`);
    const { answers } = openStream(revoked);
    await answers.next();
    rpc.revocations.revoke(serialHex(revoked.certificate.serialNumber));
    expect(await failureOf(answers.next())).to.include({
      code: 'Unauthenticated',
      reason: 'CERTIFICATE_REVOKED',
    });
    await Promise.all([seen.aborted.promise, seen.ended.promise]);
  });

  it('ends within a second of the end of the certificate', async () => {
    const { answers } = openStream(node);
    await answers.next();
    clock.advance(node.certificate.validToDate.getTime() - clock.now() - 1);
    clock.advance(1000);
    expect(await failureOf(answers.next())).to.include({
      code: 'Unauthenticated',
      reason: 'CERTIFICATE_EXPIRED',
    });
    await seen.ended.promise;
  });

  it('costs nobody else anything when its handler ends without reading what it asked for', async () => {
    handle = async function* (requests) {
      void requests[Symbol.asyncIterator]().next();
      yield { timestampMs: 7n };
    };
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', listener);
    const { answers } = openStream(await rpc.authority.node(`n-${ID}`));
    expect((await answers.next()).value.timestampMs).to.equal(7n);
    expect((await answers.next()).done).to.equal(true);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', listener);
    // Each would have ended the server.
    expect(unhandled).to.deep.equal([]);
  });

  it('tells its handler when the caller goes away', async () => {
    const { answers, controller } = openStream(await rpc.authority.node(`n-${ID}`));
    await answers.next();
    controller.abort();
    await Promise.all([seen.aborted.promise, seen.ended.promise]);
  });

  it('holds a handler back when its caller does not read', async () => {
    const session = await rpc.http2(client);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/gapjunction.blob.v1.BlobService/Download',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.pause();
    // A DownloadRequest with a digest of 32 bytes, in a frame of gRPC.
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, 34, 10, 32]), Buffer.alloc(32)]));
    await new Promise((resolve) => stream.once('response', resolve));
    // A whole other call goes through meanwhile, so a handler that could run on would have.
    await rpc.clientFor(BlobService, client).upload(
      (async function* () {
        yield { kind: { case: 'chunk', value: new Uint8Array(1) } } as const;
      })(),
    );
    expect(seen.sent).to.be.at.most(1);
    session.destroy();
    await seen.ended.promise;
  });

  it('takes uploads message by message and ends one that breaks a rule of the contract', async () => {
    const chunk = (bytes: number) =>
      ({ kind: { case: 'chunk', value: new Uint8Array(bytes) } }) as const;
    const blobClient = rpc.clientFor(BlobService, client);
    const answer = await blobClient.upload(
      (async function* () {
        for (let count = 0; count < 40; count++) yield chunk(256 * 1024);
      })(),
    );
    expect(answer.sizeBytes).to.equal(40n);
    const failure = await failureOf(
      blobClient.upload(
        (async function* () {
          yield chunk(1);
          yield chunk(1024 * 1024 + 1);
        })(),
      ),
    );
    expect(failure).to.include({ code: 'InvalidArgument', reason: 'INVALID_REQUEST' });
    expect(failure.violations[0]?.field).to.equal('chunk');
  });

  it('that only a foreign service has is unknown', async () => {
    const watch = rpc.clientFor(JobService, client).watchJob({ jobId: 'j-x' });
    expect((await failureOf(drain(watch))).code).to.equal('Unimplemented');
  });
});
