// A growing buffer of bytes. It doubles, so that writing a module of n bytes copies at most 2n.

const UTF8 = new TextEncoder();

export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacityBytes = 256) {
    this.#bytes = new Uint8Array(Math.max(capacityBytes, 16));
  }

  get length(): number {
    return this.#length;
  }

  /** What was written so far, without a copy: valid until the next write. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Forgets what was written and keeps the buffer. */
  clear(): void {
    this.#length = 0;
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** The bytes of `source` from `start` to before `end`. */
  copy(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    this.#reserve(length);
    // A loop beats subarray and set for the short runs between two charges.
    if (length < 32) {
      for (let at = start; at < end; at++) this.#bytes[this.#length++] = source[at]!;
    } else {
      this.#bytes.set(source.subarray(start, end), this.#length);
      this.#length += length;
    }
  }

  /** An unsigned LEB128 of an integer in 0 .. 2^32 - 1. */
  u32(value: number): void {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  /** A signed LEB128 of an integer in -2^31 .. 2^31 - 1. */
  s32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  /** UTF-8 with its length in bytes before it. */
  name(text: string): void {
    const bytes = UTF8.encode(text);
    this.u32(bytes.length);
    this.raw(bytes);
  }

  /** What `body` holds, with its length in bytes before it. */
  sized(body: ByteWriter): void {
    this.u32(body.length);
    this.raw(body.written);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.written);
    this.#bytes = larger;
  }
}
