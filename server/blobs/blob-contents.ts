// Where large contents lie: files beside an embedded database, rows in a shared one. Both keep sealed
// chunks under an id that a row of the database names, so that nothing lies about that no row knows.

/** One stream that writes a content. */
export interface ContentWriter {
  readonly contentId: string;
  /** Of its upload: where another stream has a later one, this one may write no more. */
  readonly turn: number;
}

export interface BlobContents {
  /** How many chunks lie whole and in order under this id. 0 for an unknown one. */
  count(contentId: string): Promise<number>;
  /**
   * Adds the chunk at `index`, which is the count. `full` chunks have the size given when the store was
   * opened; only the last may be shorter. Throws RpcError STORAGE_FULL with nothing of it visible, and
   * UPLOAD_TAKEN_OVER (ABORTED) where another stream writes by now.
   */
  append(writer: ContentWriter, index: number, sealed: Uint8Array): Promise<void>;
  /** Makes all that was added durable: when this resolves, a kill of the process loses none of it. */
  flush(contentId: string): Promise<void>;
  /** The sealed chunk; null where it is gone. */
  read(contentId: string, index: number): Promise<Uint8Array | null>;
  /** Takes away everything from chunk `count` on. */
  truncate(writer: ContentWriter, count: number): Promise<void>;
  /** Takes all of it away. Safe to repeat. */
  erase(contentId: string): Promise<void>;
}
