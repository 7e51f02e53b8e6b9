// A cursor over the bytes of a module. Every read is bounded by the end of the part being read, and
// every error carries the offset in the file, however deep the part lies in it.

import { WasmError } from './error.ts';
import { MAX_NAME_BYTES } from './limits.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class ByteReader {
  readonly bytes: Uint8Array;
  /** Where the next read begins, in bytes from the start of the file. */
  offset: number;
  /** Where this part ends. */
  readonly end: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  get atEnd(): boolean {
    return this.offset >= this.end;
  }

  byte(): number {
    if (this.offset >= this.end) this.#endsEarly();
    return this.bytes[this.offset++]!;
  }

  /** An unsigned LEB128 of at most 32 bits: at most five bytes, no bit beyond the 32nd. */
  u32(): number {
    const start = this.offset;
    const first = this.byte();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let shift = 7; shift < 28; shift += 7) {
      const next = this.byte();
      value |= (next & 0x7f) << shift;
      if (next < 0x80) return value;
    }
    const last = this.byte();
    if (last > 0x0f) throw new WasmError(start, 'an unsigned number is longer than 32 bits');
    return (value | (last << 28)) >>> 0;
  }

  /** A signed LEB128 of at most 32 bits. */
  s32(): number {
    const start = this.offset;
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const next = this.byte();
      value |= (next & 0x7f) << shift;
      if (next < 0x80) return (value << (25 - shift)) >> (25 - shift);
    }
    const last = this.byte();
    // Bits 4 to 6 repeat the sign, bit 3.
    const sign = last & 0x78;
    if (last >= 0x80 || (sign !== 0 && sign !== 0x78)) {
      throw new WasmError(start, 'a signed number is longer than 32 bits');
    }
    return value | (last << 28);
  }

  /** A signed LEB128 of 33 bits, as block types use it for the index of a type. */
  s33(): number {
    const start = this.offset;
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const next = this.byte();
      value |= (next & 0x7f) << shift;
      if (next < 0x80) return (value << (25 - shift)) >> (25 - shift);
    }
    const last = this.byte();
    const sign = last & 0x70;
    if (last >= 0x80 || (sign !== 0 && sign !== 0x70)) {
      throw new WasmError(start, 'a signed number is longer than 33 bits');
    }
    const low = (value | (last << 28)) >>> 0;
    return sign === 0 ? low : low - 2 ** 32;
  }

  /** Passes over a signed LEB128 of at most 64 bits. */
  skipS64(): void {
    const start = this.offset;
    for (let length = 1; length < 10; length++) if (this.byte() < 0x80) return;
    const last = this.byte();
    if (last !== 0 && last !== 0x7f) {
      throw new WasmError(start, 'a signed number is longer than 64 bits');
    }
  }

  /** The next `length` bytes, without a copy. */
  take(length: number): Uint8Array {
    if (length > this.end - this.offset) this.#endsEarly(length);
    const from = this.offset;
    this.offset += length;
    return this.bytes.subarray(from, this.offset);
  }

  skip(length: number): void {
    if (length > this.end - this.offset) this.#endsEarly(length);
    this.offset += length;
  }

  /**
   * A count of things that follow. Each takes at least `minBytesEach`, so that a count the rest of
   * this part cannot hold is refused before anything is made for it.
   */
  count(what: string, bound: number, minBytesEach = 1): number {
    const start = this.offset;
    const count = this.u32();
    if (count > bound) throw new WasmError(start, `${count} ${what} are more than ${bound}`);
    if (count * minBytesEach > this.end - this.offset) {
      throw new WasmError(start, `${count} ${what} do not fit in the bytes that follow`);
    }
    return count;
  }

  /** A name: UTF-8 with its length before it. */
  name(): string {
    const start = this.offset;
    const length = this.u32();
    if (length > MAX_NAME_BYTES) {
      throw new WasmError(start, `a name of ${length} bytes is longer than ${MAX_NAME_BYTES}`);
    }
    const bytes = this.take(length);
    try {
      return UTF8.decode(bytes);
    } catch (cause) {
      throw new WasmError(start, 'a name is not UTF-8', { cause });
    }
  }

  /** A reader for the next `length` bytes, over which this one passes. */
  part(length: number): ByteReader {
    const from = this.offset;
    this.skip(length);
    return new ByteReader(this.bytes, from, this.offset);
  }

  /** Throws when a part has bytes left after all that belongs to it was read. */
  expectEnd(what: string): void {
    if (this.offset < this.end) {
      throw new WasmError(this.offset, `${this.end - this.offset} bytes are left in ${what}`);
    }
  }

  #endsEarly(wanted = 1): never {
    throw new WasmError(
      this.offset,
      `${wanted} more bytes are needed where ${Math.max(0, this.end - this.offset)} are left`,
    );
  }
}
