import { once } from 'node:events';
import { expect } from 'chai';
import { BillingService } from '#gen/gapjunction/billing/v1/billing_pb';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { Health, HealthCheckResponse_ServingStatus } from '#gen/grpc/health/v1/health_pb';
import { healthService } from '../../../server/rpc/health.ts';
import { implement } from '../../../server/rpc/service.ts';
import { failureOf } from '../../fakes/failure.ts';
import { startListener } from '../../fakes/listener.ts';

const { SERVING, NOT_SERVING } = HealthCheckResponse_ServingStatus;

const ID = 'aaaaaaaaaaaaaaaaaaaa';

describe('a port that stops', () => {
  it('ends streams with UNAVAILABLE and lets a call finish', async () => {
    const started = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const billing = implement(BillingService, {
      async getBalance() {
        started.resolve();
        await finish.promise;
        return { availableMicrocents: 7n };
      },
    });
    const health = healthService(new Set());
    const rpc = await startListener({ services: [billing, health.implementation] });
    const client = await rpc.authority.client(`c-${ID}`);
    const call = rpc.clientFor(BillingService, client).getBalance({});
    const watch = rpc.clientFor(Health, null).watch({})[Symbol.asyncIterator]();
    await Promise.all([started.promise, watch.next()]);
    const stopped = rpc.listener.stop(10_000);
    expect(await failureOf(watch.next())).to.include({
      code: 'Unavailable',
      reason: 'SHUTTING_DOWN',
    });
    finish.resolve();
    expect((await call).availableMicrocents).to.equal(7n);
    await stopped;
    await rpc.stop();
  });

  it('tells every connection to go away before it is closed, and takes no new one', async () => {
    const health = healthService(new Set());
    const rpc = await startListener({ services: [health.implementation] });
    const session = await rpc.http2(await rpc.authority.node(`n-${ID}`));
    const ping = Promise.withResolvers<void>();
    session.ping(() => ping.resolve());
    await ping.promise;
    const events: string[] = [];
    session.on('goaway', (code: number) => events.push(`goaway ${code}`));
    session.on('close', () => events.push('close'));
    await rpc.listener.stop(10_000);
    if (!session.closed) await once(session, 'close');
    expect(events).to.deep.equal(['goaway 0', 'close']);
    const refused = await rpc.http2(null).catch((error: NodeJS.ErrnoException) => error.code);
    expect(refused).to.equal('ECONNREFUSED');
    await rpc.stop();
  });

  it('says that it serves no longer to those who watch its health, and then ends their streams', async () => {
    const health = healthService(new Set());
    const rpc = await startListener({ services: [health.implementation] });
    const watch = rpc.clientFor(Health, null).watch({})[Symbol.asyncIterator]();
    expect((await watch.next()).value).to.include({ status: SERVING });
    health.setServing(false);
    expect((await watch.next()).value).to.include({ status: NOT_SERVING });
    const stopped = rpc.listener.stop(10_000);
    expect(await failureOf(watch.next())).to.include({ reason: 'SHUTTING_DOWN' });
    await stopped;
    await rpc.stop();
  });

  it('lets an upload come to its end', async () => {
    const began = Promise.withResolvers<void>();
    const more = Promise.withResolvers<void>();
    const notTried = async () => ({});
    const blobs = implement(BlobService, {
      async upload(requests) {
        for await (const _ of requests) began.resolve();
        return {};
      },
      getUploadOffset: notTried,
      deleteBlob: notTried,
      async *download() {},
    });
    const rpc = await startListener({ services: [blobs] });
    const client = rpc.clientFor(BlobService, await rpc.authority.client(`c-${ID}`));
    const uploaded = client.upload(
      (async function* chunks() {
        yield { kind: { case: 'chunk', value: new Uint8Array(1) } } as const;
        await more.promise;
      })(),
    );
    await began.promise;
    const stopped = rpc.listener.stop(10_000);
    more.resolve();
    await uploaded;
    await stopped;
    await rpc.stop();
  });

  it('is not kept from it by a call that never ends', async () => {
    const started = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<void>();
    const billing = implement(BillingService, {
      async getBalance(_, { signal }) {
        signal.addEventListener('abort', () => aborted.resolve());
        started.resolve();
        return new Promise(() => undefined);
      },
    });
    const rpc = await startListener({ services: [billing] });
    const client = await rpc.authority.client(`c-${ID}`);
    const call = failureOf(rpc.clientFor(BillingService, client).getBalance({}));
    await started.promise;
    await rpc.listener.stop(1);
    await aborted.promise;
    expect(await call).to.include({ code: 'Unavailable', reason: 'SHUTTING_DOWN' });
    await rpc.stop();
  });

  it('says which port is taken', async () => {
    const first = await startListener({ services: [] });
    const taken = await startListener({ services: [], port: first.listener.port }).catch(
      (error: Error) => error.message,
    );
    expect(taken).to.contain(`port ${first.listener.port}`).and.to.contain('EADDRINUSE');
    await first.stop();
  });
});
