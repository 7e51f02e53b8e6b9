import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { type Clock, systemClock } from '../../../server/clock.ts';
import { NonceStoreUnavailable } from '../../../server/nodes/nonce-store.ts';
import { openRedis, type RedisConnection } from '../../../server/redis/connection.ts';
import { openRedisNonceStore } from '../../../server/redis/nonce-store.ts';
import { whenAll } from '../../all.ts';
import { startRedis, type TestRedis } from '../../fakes/redis.ts';
import { TcpProxy } from '../../fakes/tcp-proxy.ts';
import { nonceStoreContract } from '../nodes/nonce-store.contract.ts';

whenAll('nonces in Redis', () => {
  let redis: TestRedis;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis.stop());

  const connections: RedisConnection[] = [];
  after(() => connections.forEach((connection) => connection.close()));

  const open = async (url: string, clock: Clock = systemClock) => {
    const connection = await openRedis({ urls: [url], onError: () => {} });
    connections.push(connection);
    return openRedisNonceStore({ redis: connection, clock, onError: () => {} });
  };

  nonceStoreContract(() => open(redis.url));

  it('are shared by replicas', async () => {
    const [one, two] = [await open(redis.url), await open(redis.url)];
    const nonce = randomBytes(16);
    expect(await one.claim('n-a', nonce)).to.equal(true);
    expect(await two.claim('n-a', nonce)).to.equal(false);
    await one.close();
    await two.close();
  });

  it('are unavailable, not granted, once Redis is gone', async () => {
    const mortal = await startRedis();
    const nonces = await open(mortal.url);
    expect(await nonces.claim('n-a', randomBytes(16))).to.equal(true);
    await mortal.stop();
    const claim = Promise.try(() => nonces.claim('n-a', randomBytes(16)));
    const refused = await claim.catch((cause: unknown) => cause);
    expect(refused).to.be.instanceOf(NonceStoreUnavailable);
    await nonces.close();
  });

  it('are claimed on a new connection where the old one was cut without a word', async () => {
    const proxy = await TcpProxy.open(redis.port);
    const nonces = await open(`redis://127.0.0.1:${proxy.port}/0`);
    const claim = () =>
      Promise.try(() => nonces.claim('n-a', randomBytes(16))).catch((cause: unknown) => cause);
    expect(await claim()).to.equal(true);
    proxy.cut();
    expect(await claim()).to.be.instanceOf(NonceStoreUnavailable);
    proxy.mendForNew();
    while ((await claim()) !== true);
    await nonces.close();
    await proxy.close();
  });

  it('say for how long they have been unavailable, until Redis is back', async () => {
    const mortal = await startRedis();
    let nowMs = systemClock.now();
    const nonces = await open(mortal.url, { ...systemClock, now: () => nowMs });
    const claim = () =>
      Promise.try(() => nonces.claim('n-a', randomBytes(16))).catch((cause: unknown) => cause);
    expect(await claim()).to.equal(true);
    expect(nonces.unavailableForMs()).to.equal(0);
    await mortal.stop();
    await claim();
    nowMs += 20_000;
    await claim();
    expect(nonces.unavailableForMs()).to.equal(20_000);
    const again = await startRedis([], mortal.port);
    while ((await claim()) !== true);
    expect(nonces.unavailableForMs()).to.equal(0);
    await nonces.close();
    await again.stop();
  });

  it('are refused from a Redis that could forget some', async () => {
    const forgetful = await startRedis(['--maxmemory-policy', 'allkeys-lru']);
    const refused = await open(forgetful.url).catch((cause: unknown) => cause);
    expect(refused).to.be.instanceOf(NonceStoreUnavailable);
    expect((refused as Error).message).to.include("'allkeys-lru'");
    await forgetful.stop();
  });

  it('are refused by a replica whose clock is more than 2 s away from Redis', async () => {
    for (const offsetMs of [3_000, -3_000]) {
      const clock = { ...systemClock, now: () => systemClock.now() + offsetMs };
      const refused = await open(redis.url, clock).catch((cause: unknown) => cause);
      expect(refused).to.be.instanceOf(NonceStoreUnavailable);
    }
  });

  it('end at start, with a clear word, where there is no Redis', async () => {
    const refused = await open('redis://127.0.0.1:1/0').catch((error: Error) => error.message);
    expect(refused).to.contain('GJ_REDIS_URL').and.to.contain('ECONNREFUSED');
  });
});
