// What replicas share beside the database: wake-ups, nonces and limits. In this process for a single one,
// in Redis for several.
import type { Clock } from './clock.ts';
import type { PartCheck } from './health/parts.ts';
import { LocalAnnouncements, type Announcements } from './jobs/announcements.ts';
import { memoryNonceStore, type NonceStore } from './nodes/nonce-store.ts';
import { RedisAnnouncements } from './redis/announcements.ts';
import { openRedis } from './redis/connection.ts';
import { openRedisNonceStore } from './redis/nonce-store.ts';
import { memoryLimiter, redisLimiter, type NewLimiter } from './rpc/limiter.ts';
import type { Stops } from './stops.ts';

export interface Shared {
  readonly announcements: Announcements;
  readonly nonces: NonceStore;
  readonly newLimiter: NewLimiter;
  /** What of it is elsewhere, and whether it answers. */
  readonly checks: readonly PartCheck[];
}

export interface SharedOptions {
  /** None for a single replica. */
  readonly redisUrls: readonly string[];
  /** Unlike that of any other replica; one line. */
  readonly replicaId: string;
  readonly clock: Clock;
  readonly onError: (doing: string, cause: unknown) => void;
  /** Takes what has to be stopped, should a later part fail to start. */
  readonly stops: Stops;
}

/** Rejects when Redis does not answer or cannot be trusted with nonces. */
export async function openShared(options: SharedOptions): Promise<Shared> {
  const { redisUrls: urls, replicaId, clock, onError, stops } = options;
  if (urls.length === 0) {
    const nonces = memoryNonceStore({ clock });
    stops.add(() => nonces.close());
    return {
      announcements: new LocalAnnouncements(),
      nonces,
      newLimiter: memoryLimiter,
      checks: [],
    };
  }
  const redis = await openRedis({ urls, onError });
  stops.add(() => redis.close());
  const nonces = await openRedisNonceStore({ redis, clock, onError });
  stops.add(() => nonces.close());
  const announcements = await RedisAnnouncements.open({ redis, clock, replicaId, onError });
  stops.add(() => announcements.close());
  // Without it no beat is accepted, but calls go on: a replica is no better off out of a balancer's list.
  const check = { name: 'redis', needed: false, ask: () => redis.commands.ping() };
  return { announcements, nonces, newLimiter: redisLimiter(redis.commands), checks: [check] };
}
