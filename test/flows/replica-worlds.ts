// PostgreSQL and Redis for the tests of a file, and worlds of several replicas over them.
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { startRedis, type TestRedis } from '../fakes/redis.ts';
import { LocalWorld, type LocalWorldOptions } from './local-world.ts';

/** To be called inside `describe`; what it returns starts a world of two replicas over a new database, disposed of after each test. */
export function withReplicaWorlds(): (options?: LocalWorldOptions) => Promise<LocalWorld> {
  let postgresql: Postgresql;
  let redis: TestRedis;
  before(async () => {
    postgresql = await startPostgresql();
    redis = await startRedis(['--maxmemory-policy', 'noeviction']);
  });
  after(async () => {
    await redis.stop();
    postgresql.stop();
  });
  return (options = {}) =>
    LocalWorld.start({
      databaseUrl: postgresql.newDatabase(),
      redisUrl: redis.url,
      replicas: 2,
      ...options,
    });
}
