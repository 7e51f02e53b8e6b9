/** Entries: a client works with a handful of modules at a time. */
const MAX_MODULES = 8;
/** 64 MiB of Wasm: V8's code for it takes several times as much. */
const MAX_BYTES = 64 * 1024 * 1024;

/** The most recently used values, bounded in number and in bytes. */
export class ModuleCache<T> {
  readonly #entries = new Map<string, { value: T; bytes: number }>();
  #bytes = 0;

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** @param bytes size that counts against the bound; the newest entry stays even when it is beyond */
  set(key: string, value: T, bytes: number): void {
    this.#remove(key);
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (oldest === key || !this.#isOver()) break;
      this.#remove(oldest);
    }
  }

  #isOver(): boolean {
    return this.#entries.size > MAX_MODULES || this.#bytes > MAX_BYTES;
  }

  #remove(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }
}
