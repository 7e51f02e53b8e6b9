// Nonces in Redis: one atomic command a claim, shared by all replicas. What Redis cannot promise for sure
// counts as unavailable.

import { Redis } from 'ioredis';
import { NONCE_CLAIM_MS } from '../../protocol/heartbeat/acceptance.ts';
import type { Clock } from '../clock.ts';
import { NonceStoreUnavailable, type NonceStore } from '../nodes/nonce-store.ts';

/** A beat's answer waits for it; a healthy Redis answers within a millisecond. */
const COMMAND_TIMEOUT_MS = 500;
const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_CAP_MS = 1_000;

/** Claims outlast twice the window of 60 s by 5 s: clocks this close leave room to spare. */
const MAX_CLOCK_DISTANCE_MS = 2_000;
const CLOCK_CHECK_INTERVAL_MS = 10_000;

export interface RedisNonceStoreOptions {
  /** `redis://HOST:PORT/DB` or `rediss://` */
  readonly url: string;
  readonly clock: Clock;
  /** A failure in the background, for the log. */
  readonly onError: (doing: string, cause: unknown) => void;
}

/**
 * Connects to Redis. Rejects when it does not answer, when its `maxmemory-policy` is not `noeviction` (an
 * evicted nonce would let a frame in twice), or when its clock is more than 2 s from ours.
 */
export async function openRedisNonceStore(options: RedisNonceStoreOptions): Promise<NonceStore> {
  const { url, clock, onError } = options;
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    enableAutoPipelining: true,
    retryStrategy: (tries) => Math.min(tries * 50, RECONNECT_CAP_MS),
  });
  redis.on('error', (cause) => onError('talking to Redis', cause));
  try {
    await redis.connect();
    await requireNoEviction(redis);
    await requireSameTime(redis, clock);
  } catch (cause) {
    redis.disconnect();
    throw cause;
  }

  let clockProblem: NonceStoreUnavailable | null = null;
  const checkClock = async () => {
    try {
      await requireSameTime(redis, clock);
      clockProblem = null;
    } catch (cause) {
      // That Redis is gone, each claim finds out by itself.
      if (cause instanceof NonceStoreUnavailable) clockProblem = cause;
      onError('comparing clocks with Redis', cause);
    }
  };
  const stopChecking = clock.every(CLOCK_CHECK_INTERVAL_MS, () => void checkClock());

  return {
    async claim(nodeId, nonce) {
      if (clockProblem !== null) throw clockProblem;
      const key = `gj:nonce:{${nodeId}}:${Buffer.from(nonce).toString('hex')}`;
      try {
        return (await redis.set(key, '1', 'PX', NONCE_CLAIM_MS, 'NX')) === 'OK';
      } catch (cause) {
        throw new NonceStoreUnavailable(`claiming a nonce of '${nodeId}': Redis did not answer`, {
          cause,
        });
      }
    },
    async close() {
      stopChecking();
      redis.disconnect();
    },
  };
}

async function requireNoEviction(redis: Redis): Promise<void> {
  const [, policy] = await redis.config('GET', 'maxmemory-policy');
  if (policy === 'noeviction') return;
  throw new NonceStoreUnavailable(
    `opening the nonce store: Redis has maxmemory-policy '${policy}' and could forget a nonce; set it to noeviction`,
  );
}

async function requireSameTime(redis: Redis, clock: Clock): Promise<void> {
  const beforeMs = clock.now();
  const [seconds, microseconds] = await redis.time();
  const redisMs = Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
  // Between asking and reading the answer is when Redis looked at its clock.
  const aheadMs = Math.max(redisMs - clock.now(), beforeMs - redisMs);
  if (aheadMs <= MAX_CLOCK_DISTANCE_MS) return;
  throw new NonceStoreUnavailable(
    `comparing clocks with Redis: they are ${aheadMs} ms apart, more than ${MAX_CLOCK_DISTANCE_MS}; correct the clock of one`,
  );
}
