// A Cluster serves as one Redis does, and goes on when it loses a master.
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { type Clock, systemClock } from '../../../server/clock.ts';
import { NonceStoreUnavailable, type NonceStore } from '../../../server/nodes/nonce-store.ts';
import { RedisAnnouncements } from '../../../server/redis/announcements.ts';
import { openRedis, type RedisConnection } from '../../../server/redis/connection.ts';
import { openRedisNonceStore } from '../../../server/redis/nonce-store.ts';
import { redisLimiter } from '../../../server/rpc/limiter.ts';
import { whenAll } from '../../all.ts';
import { startRedisCluster, type TestRedisCluster } from '../../fakes/redis-cluster.ts';
import { announcementsContract, Listener } from '../jobs/announcements.contract.ts';
import { nonceStoreContract } from '../nodes/nonce-store.contract.ts';

const ignore = (): void => undefined;

whenAll('a Redis Cluster', () => {
  let cluster: TestRedisCluster;
  let redis: RedisConnection;
  let nonces: NonceStore;
  let here: RedisAnnouncements;
  let there: RedisAnnouncements;
  const clock: Clock = systemClock;

  before(async () => {
    cluster = await startRedisCluster();
    redis = await openRedis({ urls: cluster.urls, onError: ignore });
    nonces = await openRedisNonceStore({ redis, clock, onError: ignore });
    const announce = () =>
      RedisAnnouncements.open({
        redis,
        clock,
        replicaId: randomBytes(8).toString('hex'),
        onError: ignore,
      });
    [here, there] = [await announce(), await announce()];
  });
  after(async () => {
    await here.close();
    await there.close();
    await nonces.close();
    redis.close();
    await cluster.stop();
  });

  describe('as nonce store', () => nonceStoreContract(async () => nonces));
  describe('as announcements', () => announcementsContract(() => ({ here, there })));

  describe('as counter of limits', () => {
    it('counts limits for all replicas, wherever a key lies', async () => {
      const options = { keyPrefix: 'test', points: 2, durationSeconds: 60 };
      const [one, two] = [
        redisLimiter(redis.commands)(options),
        redisLimiter(redis.commands)(options),
      ];
      for (const key of ['a', 'b', 'c', 'd', 'e']) {
        expect(await one.take(key)).to.equal(null);
        expect(await two.take(key)).to.equal(null);
        expect(await one.take(key)).to.be.within(1, 60_000);
      }
    });
  });

  // Last: what follows a failover is told to every listener.
  describe('that loses a master', () => {
    it('claims no nonce while its master is dead, and again once a follower has taken over', async () => {
      const nodeId = 'n-failover';
      expect(await nonces.claim(nodeId, randomBytes(16))).to.equal(true);
      await cluster.kill(cluster.masterOf(`{${nodeId}}`));
      let refused = 0;
      for (;;) {
        try {
          expect(await nonces.claim(nodeId, randomBytes(16))).to.equal(true);
          break;
        } catch (cause) {
          expect(cause).to.be.instanceOf(NonceStoreUnavailable);
          refused++;
        }
      }
      expect(refused).to.be.greaterThan(0);
    });

    it('carries announcements again when the server that a replica listened to is dead', async () => {
      const listener = new Listener();
      const stop = there.subscribe('job:1', listener.call);
      // The first listens to the first server, the second to the second.
      await cluster.kill(cluster.urls[1] ?? '');
      await listener.called(1);
      while (listener.count < 2) {
        here.publish('job:1');
        // In the middle of a failover a message may be lost: then the next one is not.
        await redis.commands.get('gj:nothing').catch(ignore);
      }
      stop();
    });
  });
});
