import { createCipheriv, hkdfSync } from 'node:crypto';
import type { Cipheriv } from 'node:crypto';

const INFO = 'gap-junction/random/v1\n';
const ZEROS = new Uint8Array(16_384);

/**
 * Random bytes of a guest: the AES-256-CTR key stream under
 * `HKDF-SHA256(seed, salt "", info "gap-junction/random/v1\n", 32 bytes)` with a zero IV, read in
 * order. Known to everyone who knows the seed, so a guest must not make keys of it.
 */
export class RandomStream {
  readonly #seed: Uint8Array;
  #cipher: Cipheriv | undefined;
  /** Key stream that was made and not read; a cipher is too slow to be asked for a byte at a time. */
  #ahead = new Uint8Array(0);

  /** @param seed 32 bytes, one for each job */
  constructor(seed: Uint8Array) {
    this.#seed = seed;
  }

  /** Fills `target` with the next bytes of the stream. */
  readInto(target: Uint8Array): void {
    let at = 0;
    while (at < target.byteLength) {
      if (this.#ahead.byteLength === 0) this.#ahead = this.#next();
      const part = this.#ahead.subarray(0, target.byteLength - at);
      target.set(part, at);
      this.#ahead = this.#ahead.subarray(part.byteLength);
      at += part.byteLength;
    }
  }

  #next(): Uint8Array<ArrayBuffer> {
    this.#cipher ??= createCipheriv('aes-256-ctr', keyOf(this.#seed), new Uint8Array(16));
    return new Uint8Array(this.#cipher.update(ZEROS));
  }
}

function keyOf(seed: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', seed, new Uint8Array(0), INFO, 32));
}
