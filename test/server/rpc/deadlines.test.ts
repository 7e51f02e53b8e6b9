// A caller's deadline ends its call at the server, too, whatever kind of call it is: the client here sends
// the header and does nothing itself.
import { expect } from 'chai';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { HeartbeatService } from '#gen/gapjunction/node/v1/heartbeat_pb';
import type { CallContext } from '../../../server/rpc/service.ts';
import type { IssuedCertificate } from '../../fakes/authority.ts';
import { startListener, type TestListener } from '../../fakes/listener.ts';

const ID = 'aaaaaaaaaaaaaaaaaaaa';
const DEADLINE_EXCEEDED = '4';
/** A message with a digest of 32 bytes as its first field, in a frame of gRPC. */
const ONE_REQUEST = Buffer.concat([Buffer.from([0, 0, 0, 0, 34, 10, 32]), Buffer.alloc(32)]);

describe('the deadline of a call', () => {
  let rpc: TestListener;
  let client: IssuedCertificate;
  let node: IssuedCertificate;
  let ended: PromiseWithResolvers<string>;
  /** Does nothing until it is told that nobody waits. */
  const waiting = (name: string, { signal }: CallContext): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        ended.resolve(name);
        reject(new DOMException('the call is over', 'AbortError'));
      });
    });

  before(async () => {
    const blobs = {
      upload: (_: unknown, context: CallContext) => waiting('Upload', context),
      getUploadOffset: (_: unknown, context: CallContext) => waiting('GetUploadOffset', context),
      async *download(_: unknown, context: CallContext) {
        yield { chunk: Uint8Array.of(1) };
        await waiting('Download', context);
      },
      deleteBlob: async () => ({}),
    };
    const heartbeat = {
      async *heartbeat(_: unknown, context: CallContext) {
        yield { timestampMs: 1n };
        await waiting('Heartbeat', context);
      },
    };
    rpc = await startListener({
      services: [
        { service: BlobService, handlers: blobs },
        { service: HeartbeatService, handlers: heartbeat },
      ],
    });
    client = await rpc.authority.client(`c-${ID}`);
    node = await rpc.authority.node(`n-${ID}`);
  });
  after(() => rpc.stop());
  beforeEach(() => {
    ended = Promise.withResolvers();
  });

  for (const [kind, service, method] of [
    ['with one request and one answer', 'blob.v1.BlobService', 'GetUploadOffset'],
    ['with a stream of requests', 'blob.v1.BlobService', 'Upload'],
    ['with a stream of answers', 'blob.v1.BlobService', 'Download'],
    ['with a stream each way', 'node.v1.HeartbeatService', 'Heartbeat'],
  ] as const) {
    it(`${kind} ends it, and its handler`, async () => {
      const session = await rpc.http2(method === 'Heartbeat' ? node : client);
      const stream = session.request({
        ':method': 'POST',
        ':path': `/gapjunction.${service}/${method}`,
        'content-type': 'application/grpc',
        'grpc-timeout': '1S',
        te: 'trailers',
      });
      const status = new Promise<unknown>((resolve) => {
        for (const event of ['response', 'trailers'] as const) {
          stream.on(event, (headers: Record<string, unknown>) => {
            if (headers['grpc-status'] !== undefined) resolve(headers['grpc-status']);
          });
        }
      });
      stream.resume();
      // Streams of requests stay open at this side.
      if (method === 'GetUploadOffset' || method === 'Download') stream.end(ONE_REQUEST);
      expect(await ended.promise).to.equal(method);
      expect(await status).to.equal(DEADLINE_EXCEEDED);
      session.destroy();
    });
  }
});
