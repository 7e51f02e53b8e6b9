import { expect } from 'chai';
import { Health, HealthCheckResponse_ServingStatus as Status } from '#gen/grpc/health/v1/health_pb';
import { healthService } from '../../../server/rpc/health.ts';
import { failureOf } from '../../fakes/failure.ts';
import { startListener, type TestListener } from '../../fakes/listener.ts';

describe('the health of a replica', () => {
  const up = new Map([
    ['database', true],
    ['redis', true],
  ]);
  const listeners = new Set<() => void>();
  const health = healthService(new Set(['a.Service']), {
    of: (name) => (up.has(name) ? { up: up.get(name)! } : null),
    isServing: () => up.get('database')!,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  });
  const set = (name: string, isUp: boolean) => {
    up.set(name, isUp);
    for (const listener of listeners) listener();
  };
  let rpc: TestListener;

  before(async () => {
    rpc = await startListener({ services: [health.implementation] });
  });
  after(() => rpc.stop());

  it('tells which part is down, and stops serving only without what calls need', async () => {
    const client = rpc.clientFor(Health, null);
    const statuses = () =>
      Promise.all(
        ['', 'a.Service', 'part/database', 'part/redis'].map(
          async (service) => (await client.check({ service })).status,
        ),
      );
    set('redis', false);
    expect(await statuses()).to.deep.equal([
      Status.SERVING,
      Status.SERVING,
      Status.SERVING,
      Status.NOT_SERVING,
    ]);
    set('redis', true);
    set('database', false);
    expect(await statuses()).to.deep.equal([
      Status.NOT_SERVING,
      Status.NOT_SERVING,
      Status.NOT_SERVING,
      Status.SERVING,
    ]);
    set('database', true);
  });

  it('tells watchers of an outage and of its end', async () => {
    const stop = new AbortController();
    const seen: Status[] = [];
    for await (const { status } of rpc
      .clientFor(Health, null)
      .watch({ service: '' }, { signal: stop.signal })) {
      seen.push(status);
      if (seen.length === 1) set('database', false);
      if (seen.length === 2) set('database', true);
      if (seen.length === 3) break;
    }
    stop.abort();
    expect(seen).to.deep.equal([Status.SERVING, Status.NOT_SERVING, Status.SERVING]);
  });

  it('knows no part that there is not', async () => {
    const failure = await failureOf(rpc.clientFor(Health, null).check({ service: 'part/stripe' }));
    expect(failure.reason).to.equal('SERVICE_UNKNOWN');
  });
});
