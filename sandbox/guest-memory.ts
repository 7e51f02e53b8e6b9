// Guest memory as host functions see it. Every pointer comes from the guest and is hostile: nothing is
// read or written but through a range that was checked against the memory as large as it is now.

/** Most vectors in one read or write; more is EINVAL, as IOV_MAX of Linux. Bounds the work of a plan. */
export const MAX_IO_VECTORS = 1024;

const IO_VECTOR_BYTES = 8;

export interface IoVectors {
  /** Null where the array or any range is outside memory. */
  readonly ranges: readonly Uint8Array[] | null;
  /** Bytes of the vector array itself; 0 where it is outside memory, and so was not read. */
  readonly headerBytes: number;
  /** Sum of the ranges' lengths; may be beyond 2^32 where they overlap. */
  readonly totalBytes: number;
}

export class GuestMemory {
  readonly #memory: WebAssembly.Memory | null;

  /** @param memory null for a module without memory, in which every range is bad */
  constructor(memory: WebAssembly.Memory | null) {
    this.#memory = memory;
  }

  get exists(): boolean {
    return this.#memory !== null;
  }

  /** The live bytes; a view that the next growth detaches, so never kept across a call. */
  get bytes(): Uint8Array {
    return this.#memory === null ? new Uint8Array(0) : new Uint8Array(this.#memory.buffer);
  }

  get pages(): number {
    return this.bytes.byteLength / 65_536;
  }

  /** The range as a live view, or undefined where any byte of it is outside. Both unsigned 32 bits. */
  range(pointer: number, length: number): Uint8Array | undefined {
    const { bytes } = this;
    return pointer + length <= bytes.byteLength
      ? bytes.subarray(pointer, pointer + length)
      : undefined;
  }

  /** The same as a view for little-endian numbers. */
  view(pointer: number, length: number): DataView | undefined {
    const range = this.range(pointer, length);
    return range && new DataView(range.buffer, range.byteOffset, range.byteLength);
  }

  /** Reads an array of `count` (pointer, length) pairs; `count` at most {@link MAX_IO_VECTORS}. */
  ioVectors(pointer: number, count: number): IoVectors {
    const headerBytes = count * IO_VECTOR_BYTES;
    const header = this.view(pointer, headerBytes);
    if (header === undefined) return { ranges: null, headerBytes: 0, totalBytes: 0 };
    const ranges: Uint8Array[] = [];
    let totalBytes = 0;
    for (let at = 0; at < headerBytes; at += IO_VECTOR_BYTES) {
      const range = this.range(header.getUint32(at, true), header.getUint32(at + 4, true));
      if (range === undefined) return { ranges: null, headerBytes, totalBytes: 0 };
      ranges.push(range);
      totalBytes += range.byteLength;
    }
    return { ranges, headerBytes, totalBytes };
  }
}
