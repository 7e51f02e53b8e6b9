// Counts what somebody does within a time, and says when he did too much. Two forms: in this process for a
// single replica, and in Redis for several. While Redis is gone each replica counts by itself, so that
// callers have at most so many times the limit as there are replicas, and are neither locked out nor
// unlimited.
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';

export interface LimiterOptions {
  /** Lower-case words; no two limiters of one server may have the same. */
  readonly keyPrefix: string;
  /** So many within `durationSeconds`, which begin with the first. */
  readonly points: number;
  /** Whole seconds, at least 1. */
  readonly durationSeconds: number;
}

export interface Limiter {
  /**
   * Takes `points` (1 by default, a whole number) of this key's. Answers null when there were enough, and
   * otherwise how many milliseconds, at least 1, to wait before trying again.
   */
  take(key: string, points?: number): Promise<number | null>;
}

/** Makes a limiter; each is to be made once, at start. */
export type NewLimiter = (options: LimiterOptions) => Limiter;

/** Counts in this process. */
export const memoryLimiter: NewLimiter = (options) => over(inMemory(options));

/** Counts in Redis, for all replicas; in this process while Redis does not answer. */
export function redisLimiter(redis: object): NewLimiter {
  return (options) =>
    over(
      new RateLimiterRedis({
        storeClient: redis,
        keyPrefix: `gj:limit:${options.keyPrefix}`,
        points: options.points,
        duration: options.durationSeconds,
        rejectIfRedisNotReady: true,
        insuranceLimiter: inMemory(options),
      }),
    );
}

function inMemory({ keyPrefix, points, durationSeconds }: LimiterOptions): RateLimiterMemory {
  return new RateLimiterMemory({ keyPrefix, points, duration: durationSeconds });
}

function over(limiter: RateLimiterMemory | RateLimiterRedis): Limiter {
  return {
    async take(key, points = 1) {
      try {
        await limiter.consume(key, points);
        return null;
      } catch (cause) {
        if (!(cause instanceof RateLimiterRes)) throw cause;
        return Math.max(1, Math.ceil(cause.msBeforeNext));
      }
    },
  };
}
