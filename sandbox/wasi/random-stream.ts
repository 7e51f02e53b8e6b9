import { createCipheriv, hkdfSync } from 'node:crypto';
import type { Cipheriv } from 'node:crypto';

const INFO = 'gap-junction/random/v1\n';
const ZEROS = new Uint8Array(65_536);

/**
 * Random bytes of a guest: the AES-256-CTR key stream under
 * `HKDF-SHA256(seed, salt "", info "gap-junction/random/v1\n", 32 bytes)` with a zero IV, read in
 * order. Known to everyone who knows the seed, so a guest must not make keys of it.
 */
export class RandomStream {
  readonly #seed: Uint8Array;
  #cipher: Cipheriv | undefined;

  /** @param seed 32 bytes, one for each job */
  constructor(seed: Uint8Array) {
    this.#seed = seed;
  }

  /** Fills `target` with the next bytes of the stream. */
  fill(target: Uint8Array): void {
    this.#cipher ??= createCipheriv('aes-256-ctr', keyOf(this.#seed), new Uint8Array(16));
    for (let at = 0; at < target.byteLength; at += ZEROS.byteLength) {
      const length = Math.min(ZEROS.byteLength, target.byteLength - at);
      target.set(this.#cipher.update(ZEROS.subarray(0, length)), at);
    }
  }
}

function keyOf(seed: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', seed, new Uint8Array(0), INFO, 32));
}
