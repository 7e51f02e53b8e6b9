// Remembers which nonces were seen, so that a frame is taken once. Two forms: in this process for a single
// replica, and in Redis for several; one contract test holds for both.

import { NONCE_CLAIM_MS } from '../../protocol/heartbeat/acceptance.ts';
import { BEATS_PER_SECOND_BUDGET } from '../../protocol/heartbeat/jitter.ts';
import type { Clock } from '../clock.ts';

export interface NonceStore {
  /**
   * Claims a nonce (16 bytes) of a node for 125 s. False when it was claimed before. Throws
   * NonceStoreUnavailable when that cannot be known: then no beat may be accepted.
   */
  claim(nodeId: string, nonce: Uint8Array): Promise<boolean>;
  close(): Promise<void>;
}

export class NonceStoreUnavailable extends Error {
  override readonly name = 'NonceStoreUnavailable';
}

/**
 * All nonces of a claim's life at the budget of beats, twice over: 500,000 entries of some 100 bytes. A
 * full store refuses, since forgetting one would take a frame twice.
 */
const MAX_CLAIMS = (2 * BEATS_PER_SECOND_BUDGET * NONCE_CLAIM_MS) / 1_000;

/** For one replica: nothing outlives the process, and no stream does either. */
export function memoryNonceStore({
  clock,
  maxClaims = MAX_CLAIMS,
}: {
  readonly clock: Pick<Clock, 'now'>;
  readonly maxClaims?: number;
}): NonceStore {
  // Claims live equally long, so a map, which keeps the order of insertion, is also the order of expiry.
  const expiresMs = new Map<string, number>();
  const forgetExpired = (nowMs: number) => {
    for (const [claim, endMs] of expiresMs) {
      if (endMs > nowMs) return;
      expiresMs.delete(claim);
    }
  };
  return {
    claim: async (nodeId, nonce) => {
      const nowMs = clock.now();
      forgetExpired(nowMs);
      const claim = `${nodeId}:${Buffer.from(nonce).toString('base64')}`;
      if (expiresMs.has(claim)) return false;
      if (expiresMs.size >= maxClaims) {
        throw new NonceStoreUnavailable(
          `claiming a nonce of '${nodeId}': ${maxClaims} claims are held, more beats than the budget; use Redis`,
        );
      }
      expiresMs.set(claim, nowMs + NONCE_CLAIM_MS);
      return true;
    },
    close: async () => expiresMs.clear(),
  };
}
