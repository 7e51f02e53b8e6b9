// How often anyone may try to enrol: per address a token a second with a burst, per key so many a minute.
import { isIPv6 } from 'node:net';
import { RpcError } from './error.ts';
import type { NewLimiter } from './limiter.ts';

export interface EnrolmentLimitOptions {
  readonly newLimiter: NewLimiter;
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

export function enrolmentLimit({ newLimiter, ...limits }: EnrolmentLimitOptions): EnrolmentLimit {
  const perAddress = newLimiter({
    keyPrefix: 'enrolment-address',
    points: limits.perAddressPerSecond,
    durationSeconds: 1,
  });
  const burst = newLimiter({
    keyPrefix: 'enrolment-burst',
    points: limits.burstPerAddress,
    durationSeconds: BURST_WINDOW_SECONDS,
  });
  const perKey = newLimiter({
    keyPrefix: 'enrolment-key',
    points: limits.perKeyPerMinute,
    durationSeconds: 60,
  });
  return async (address, keyId) => {
    if (keyId !== undefined) {
      admit(await perKey.take(Buffer.from(keyId).toString('hex')), 'this key');
      return;
    }
    const block = addressBlock(address);
    const nextMs = await perAddress.take(block);
    if (nextMs === null) return;
    const nextBurstMs = await burst.take(block);
    admit(nextBurstMs === null ? null : Math.min(nextMs, nextBurstMs), 'this address');
  };
}

function admit(retryAfterMs: number | null, whose: string): void {
  if (retryAfterMs === null) return;
  throw new RpcError(
    'RESOURCE_EXHAUSTED',
    'RATE_LIMITED',
    `enrolling: too many tries from ${whose}; try again in ${retryAfterMs} ms`,
    { metadata: { retry_after_ms: String(retryAfterMs) } },
  );
}

/** An IPv6 subscriber has 2^64 addresses; the first 64 bits are the one they share. */
export function addressBlock(address: string): string {
  if (!isIPv6(address) || address.includes('.')) return address;
  const [head = '', tail = ''] = address.split('::');
  const left = head.split(':').filter(Boolean);
  const right = tail.split(':').filter(Boolean);
  const middle = address.includes('::') ? 8 - left.length - right.length : 0;
  const groups = [...left, ...Array.from({ length: middle }, () => '0'), ...right];
  return groups.slice(0, 4).join(':');
}
