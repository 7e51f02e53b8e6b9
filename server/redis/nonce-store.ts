// Nonces in Redis: one atomic command a claim, shared by all replicas. What Redis cannot promise for sure
// counts as unavailable.

import type { Redis } from 'ioredis';
import { NONCE_CLAIM_MS } from '../../protocol/heartbeat/acceptance.ts';
import type { Clock } from '../clock.ts';
import { NonceStoreUnavailable, type NonceStore } from '../nodes/nonce-store.ts';
import type { RedisConnection } from './connection.ts';

/** Claims outlast twice the window of 60 s by 5 s: clocks this close leave room to spare. */
const MAX_CLOCK_DISTANCE_MS = 2_000;
const CHECK_INTERVAL_MS = 10_000;

export interface RedisNonceStoreOptions {
  readonly redis: RedisConnection;
  readonly clock: Clock;
  /** A failure in the background, for the log. */
  readonly onError: (doing: string, cause: unknown) => void;
}

/**
 * Rejects when Redis does not answer, when its `maxmemory-policy` is not `noeviction` (an evicted nonce
 * would let a frame in twice), or when its clock is more than 2 s from ours; of a Cluster, those of any
 * master. Looks again every 10 s: another server may have become a master.
 */
export async function openRedisNonceStore(options: RedisNonceStoreOptions): Promise<NonceStore> {
  const { redis, clock, onError } = options;
  await requireTrustworthy(redis, clock);

  let problem: NonceStoreUnavailable | null = null;
  let unavailableSinceMs: number | null = null;
  const answered = () => {
    unavailableSinceMs = null;
  };
  const notAnswered = () => {
    unavailableSinceMs ??= clock.now();
  };
  const check = async () => {
    try {
      await requireTrustworthy(redis, clock);
      problem = null;
      answered();
    } catch (cause) {
      notAnswered();
      // That Redis is gone, each claim finds out by itself.
      if (!(cause instanceof NonceStoreUnavailable)) return;
      problem = cause;
      onError('checking whether Redis can be trusted with nonces', cause);
    }
  };
  const stopChecking = clock.every(CHECK_INTERVAL_MS, () => void check());

  return {
    async claim(nodeId, nonce) {
      if (problem !== null) throw problem;
      const key = `gj:nonce:{${nodeId}}:${Buffer.from(nonce).toString('hex')}`;
      try {
        const claimed = await redis.commands.set(key, '1', 'PX', NONCE_CLAIM_MS, 'NX');
        answered();
        return claimed === 'OK';
      } catch (cause) {
        notAnswered();
        throw new NonceStoreUnavailable(`claiming a nonce of '${nodeId}': Redis did not answer`, {
          cause,
        });
      }
    },
    unavailableForMs: () =>
      unavailableSinceMs === null ? 0 : Math.max(0, clock.now() - unavailableSinceMs),
    async close() {
      stopChecking();
    },
  };
}

async function requireTrustworthy(redis: RedisConnection, clock: Clock): Promise<void> {
  await Promise.all(
    redis.masters().map(async (server) => {
      await requireNoEviction(server);
      await requireSameTime(server, clock);
    }),
  );
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
