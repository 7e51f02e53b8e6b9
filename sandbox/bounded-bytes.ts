/** Bytes that are appended to and never grow past a bound. */
export class BoundedBytes {
  readonly maxBytes: number;
  #buffer = new Uint8Array(0);
  #length = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  get freeBytes(): number {
    return this.maxBytes - this.#length;
  }

  /** Copies what still fits and answers whether that was all of it. */
  append(bytes: Uint8Array): boolean {
    const taken = bytes.subarray(0, this.freeBytes);
    const needed = this.#length + taken.byteLength;
    if (needed > this.#buffer.byteLength) {
      // Doubling, so that a guest that writes byte by byte costs no more than one that writes at once.
      const larger = new Uint8Array(Math.min(this.maxBytes, Math.max(needed * 2, 1024)));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(taken, this.#length);
    this.#length = needed;
    return taken.byteLength === bytes.byteLength;
  }

  /** A copy of what was appended. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#length);
  }
}
