// Bytes that one thread appends to and another reads meanwhile: what a guest logs, read while it runs. The
// writer never waits and never learns whether anybody reads, so that a run is the same with a reader or
// without.

const LENGTH_BYTES = 4;

export class SharedBytes {
  /** To be handed to the other thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #length: Int32Array;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;

  private constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#length = new Int32Array(buffer, 0, 1);
    this.#bytes = new Uint8Array(buffer, LENGTH_BYTES);
  }

  /** Room for `maxBytes`, at most 2^31 - 1; the system gives the pages as they are written. */
  static create(maxBytes: number): SharedBytes {
    return new SharedBytes(new SharedArrayBuffer(LENGTH_BYTES + maxBytes));
  }

  static of(buffer: SharedArrayBuffer): SharedBytes {
    return new SharedBytes(buffer);
  }

  get length(): number {
    return Atomics.load(this.#length, 0);
  }

  /** Copies what still fits and answers whether that was all of it. For one thread alone. */
  append(bytes: Uint8Array): boolean {
    const { length } = this;
    const taken = bytes.subarray(0, this.#bytes.byteLength - length);
    this.#bytes.set(taken, length);
    // After the bytes: a reader never sees a length whose bytes are not there.
    Atomics.store(this.#length, 0, length + taken.byteLength);
    return taken.byteLength === bytes.byteLength;
  }

  /** A copy of what was appended, from `offset` on. */
  take(offset = 0): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes.subarray(offset, this.length));
  }
}
