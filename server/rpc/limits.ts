// How often anyone may try to enrol: per address a token a second with a burst, per key so many a minute.
import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { isIPv6 } from 'node:net';
import { RpcError } from './error.ts';

export interface EnrolmentLimitOptions {
  readonly perAddressPerSecond: number;
  readonly burstPerAddress: number;
  readonly perKeyPerMinute: number;
}

/**
 * Counts one try from this address and, where it is given, for this key (SHA-256 of its
 * SubjectPublicKeyInfo). Throws RpcError RESOURCE_EXHAUSTED (RATE_LIMITED, metadata `retry_after_ms`).
 */
export type EnrolmentLimit = (address: string, keyId?: Uint8Array) => Promise<void>;

/** A burst refills within so many seconds. */
const BURST_WINDOW_SECONDS = 10;

export function enrolmentLimit(options: EnrolmentLimitOptions): EnrolmentLimit {
  const perAddress = new BurstyRateLimiter(
    new RateLimiterMemory({ points: options.perAddressPerSecond, duration: 1 }),
    new RateLimiterMemory({
      keyPrefix: 'burst',
      points: options.burstPerAddress,
      duration: BURST_WINDOW_SECONDS,
    }),
  );
  const perKey = new RateLimiterMemory({
    keyPrefix: 'key',
    points: options.perKeyPerMinute,
    duration: 60,
  });
  return async (address, keyId) => {
    if (keyId === undefined) {
      await consume(perAddress, addressBlock(address), 'this address');
    } else {
      await consume(perKey, Buffer.from(keyId).toString('hex'), 'this key');
    }
  };
}

async function consume(
  limiter: { consume(key: string): Promise<unknown> },
  key: string,
  whose: string,
): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (cause) {
    if (!(cause instanceof RateLimiterRes)) throw cause;
    const retryAfterMs = Math.max(1, Math.ceil(cause.msBeforeNext));
    throw new RpcError(
      'RESOURCE_EXHAUSTED',
      'RATE_LIMITED',
      `enrolling: too many tries from ${whose}; try again in ${retryAfterMs} ms`,
      { metadata: { retry_after_ms: String(retryAfterMs) } },
    );
  }
}

/** An IPv6 subscriber has 2^64 addresses; the first 64 bits are the one they share. */
function addressBlock(address: string): string {
  if (!isIPv6(address) || address.includes('.')) return address;
  const [head = '', tail = ''] = address.split('::');
  const left = head.split(':').filter(Boolean);
  const right = tail.split(':').filter(Boolean);
  const middle = address.includes('::') ? 8 - left.length - right.length : 0;
  const groups = [...left, ...Array.from({ length: middle }, () => '0'), ...right];
  return groups.slice(0, 4).join(':');
}
