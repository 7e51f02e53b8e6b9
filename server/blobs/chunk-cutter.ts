// Cuts what a client sends, in pieces of its own choosing, into chunks of one size.

export class ChunkCutter {
  readonly #chunkBytes: number;
  #parts: Uint8Array[] = [];
  #held = 0;

  /** Chunks have `chunkBytes`, at least 1. */
  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  /** Takes a piece and answers the chunks that it completes. */
  push(piece: Uint8Array): readonly Uint8Array[] {
    const chunks: Uint8Array[] = [];
    let rest = piece;
    while (this.#held + rest.length >= this.#chunkBytes) {
      const missing = this.#chunkBytes - this.#held;
      chunks.push(Buffer.concat([...this.#parts, rest.subarray(0, missing)]));
      rest = rest.subarray(missing);
      this.#parts = [];
      this.#held = 0;
    }
    if (rest.length > 0) {
      this.#parts.push(rest);
      this.#held += rest.length;
    }
    return chunks;
  }

  /** What is left, shorter than a chunk. */
  rest(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}
