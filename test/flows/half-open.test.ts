// A peer that is paused answers no more and closes nothing: each side finds out by its own pings, within
// 30 s. The time that Mocha gives is the bound.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { Code, ConnectError } from '@connectrpc/connect';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { Program } from '../../cli/processes.ts';
import type { CallContext } from '../../server/rpc/service.ts';
import { whenAll } from '../all.ts';
import { startListener } from '../fakes/listener.ts';
import { ENDLESS, wasmOf } from '../fakes/job-client.ts';
import { LocalWorld } from './local-world.ts';

const PEER = fileURLToPath(new URL('../fakes/reading-peer.ts', import.meta.url));
/** 20 s until a ping, 10 s for its answer, and a busy machine. */
const NOTICED_MS = 90_000;

whenAll('a peer that is paused', () => {
  it('loses its stream at the server', async function () {
    this.timeout(NOTICED_MS);
    const folder = mkdtempSync(join(tmpdir(), 'gap-junction-half-open-'));
    const over = Promise.withResolvers<void>();
    const handlers = {
      async *download(_: unknown, { signal }: CallContext) {
        signal.addEventListener('abort', () => over.resolve());
        yield { chunk: Uint8Array.of(1) };
        await over.promise;
      },
      upload: async () => ({}),
      getUploadOffset: async () => ({}),
      deleteBlob: async () => ({}),
    };
    const rpc = await startListener({ services: [{ service: BlobService, handlers }] });
    const client = await rpc.authority.client(`c-${'a'.repeat(20)}`);
    const files = {
      ca: rpc.authority.rootPem,
      cert: client.chainPem,
      key: client.keys.privateKeyPem,
    };
    const paths = Object.entries(files).map(([name, pem]) => {
      const path = join(folder, name);
      writeFileSync(path, pem);
      return path;
    });
    const address = `localhost:${rpc.listener.port}`;
    const peer = new Program('the peer', PEER, [address, ...paths]);
    try {
      await peer.event('reading');
      process.kill(peer.pid, 'SIGSTOP');
      await over.promise;
      expect(peer.running).to.equal(true);
    } finally {
      await peer.stop('SIGKILL');
      await rpc.stop();
      rmSync(folder, { recursive: true });
    }
  });

  it('is left by clients and nodes when it is the control plane', async function () {
    this.timeout(2 * NOTICED_MS);
    const world = await LocalWorld.start();
    try {
      const agent = await world.run(await world.enrol('node'));
      await agent.event('linked');
      const jobId = await world.submit(await wasmOf(ENDLESS), {
        limits: { deadlineEpochs: 60_000 },
      });
      const watched = world.watch(jobId).catch((cause: unknown) => cause);
      await agent.event('job_started');
      world.pauseServer();
      const failure = await watched;
      expect(failure).to.be.instanceOf(ConnectError);
      expect((failure as ConnectError).code).to.be.oneOf([Code.Unavailable, Code.Canceled]);
      await agent.event('link_lost');
      world.continueServer();
      await agent.event('linked', undefined, 2);
    } finally {
      world.continueServer();
      await world.dispose();
    }
  });
});
