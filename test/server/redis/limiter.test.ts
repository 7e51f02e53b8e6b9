import { expect } from 'chai';
import { openRedis, type RedisConnection } from '../../../server/redis/connection.ts';
import { redisLimiter } from '../../../server/rpc/limiter.ts';
import { whenAll } from '../../all.ts';
import { startRedis, type TestRedis } from '../../fakes/redis.ts';
import { limiterContract } from '../rpc/limiter.contract.ts';

whenAll('limits counted in Redis', () => {
  let server: TestRedis;
  let one: RedisConnection;
  let two: RedisConnection;
  const open = (url: string) => openRedis({ urls: [url], onError: () => undefined });
  before(async () => {
    server = await startRedis();
    [one, two] = [await open(server.url), await open(server.url)];
  });
  after(async () => {
    one.close();
    two.close();
    await server.stop();
  });

  limiterContract((options) => [
    redisLimiter(one.commands)(options),
    redisLimiter(two.commands)(options),
  ]);

  it('are counted by each replica for itself while Redis is gone: nobody is locked out, or unlimited', async () => {
    const mortal = await startRedis();
    const redis = await open(mortal.url);
    const limiter = redisLimiter(redis.commands)({
      keyPrefix: 'mortal',
      points: 2,
      durationSeconds: 60,
    });
    expect(await limiter.take('a')).to.equal(null);
    await mortal.stop();
    expect([await limiter.take('a'), await limiter.take('a')]).to.deep.equal([null, null]);
    expect(await limiter.take('a')).to.be.within(1, 60_000);
    redis.close();
  });

  it('end by themselves: Redis keeps no key for longer than it counts', async () => {
    const limiter = redisLimiter(one.commands)({
      keyPrefix: 'short',
      points: 1,
      durationSeconds: 60,
    });
    await limiter.take('a');
    const [key = ''] = (await one.masters()[0]?.keys('gj:limit:short*')) ?? [];
    expect(await one.commands.pttl(key)).to.be.within(1, 60_000);
  });
});
