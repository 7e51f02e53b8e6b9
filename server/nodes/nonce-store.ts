// Remembers which nonces were seen, so that a frame is taken once. Two forms: in this process for a single
// replica, and in Redis for several; one contract test holds for both.

import { NONCE_CLAIM_MS } from '../../protocol/heartbeat/acceptance.ts';
import { BEATS_PER_SECOND_BUDGET } from '../../protocol/heartbeat/jitter.ts';
import type { Clock } from '../clock.ts';

export interface NonceStore {
  /**
   * Claims a nonce (16 bytes) of a node for 125 s. False when it was claimed before. Throws, or rejects with,
   * NonceStoreUnavailable when that cannot be known: then no beat may be accepted. Answers at once where it
   * can, for a beat costs less without a promise.
   */
  claim(nodeId: string, nonce: Uint8Array): boolean | Promise<boolean>;
  /** For how long nobody's nonce could be claimed, as far as it is known; 0 where it can. */
  unavailableForMs(): number;
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
  let firstEndMs = Infinity;
  const forgetExpired = (nowMs: number) => {
    for (const [claim, endMs] of expiresMs) {
      firstEndMs = endMs;
      if (endMs > nowMs) return;
      expiresMs.delete(claim);
    }
    firstEndMs = Infinity;
  };
  return {
    claim: (nodeId, nonce) => {
      const nowMs = clock.now();
      if (nowMs >= firstEndMs) forgetExpired(nowMs);
      const claim = `${nodeId}:${Buffer.from(nonce.buffer, nonce.byteOffset, nonce.length).toString('latin1')}`;
      if (expiresMs.has(claim)) return false;
      if (expiresMs.size >= maxClaims) {
        throw new NonceStoreUnavailable(
          `claiming a nonce of '${nodeId}': ${maxClaims} claims are held, more beats than the budget; use Redis`,
        );
      }
      const endMs = nowMs + NONCE_CLAIM_MS;
      expiresMs.set(claim, endMs);
      firstEndMs = Math.min(firstEndMs, endMs);
      return true;
    },
    unavailableForMs: () => 0,
    close: async () => expiresMs.clear(),
  };
}
