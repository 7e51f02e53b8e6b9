import { expect } from 'chai';
import { BillingService } from '#gen/gapjunction/billing/v1/billing_pb';
import { Health } from '#gen/grpc/health/v1/health_pb';
import { healthService } from '../../../server/rpc/health.ts';
import { implement } from '../../../server/rpc/service.ts';
import { failureOf } from '../../fakes/failure.ts';
import { startListener } from '../../fakes/listener.ts';

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
    expect(await failureOf(watch.next())).to.include({ code: 'Unavailable', reason: 'STOPPING' });
    finish.resolve();
    expect((await call).availableMicrocents).to.equal(7n);
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
    expect(await call).to.include({ code: 'Unavailable', reason: 'STOPPING' });
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
