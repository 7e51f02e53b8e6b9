// Modules by digest: the hot ones in memory, the rest on disk, both by least recent use. A file counts only
// while it has the digest that it is named by.
import { readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';

import { digest, sameBytes } from '../../protocol/bill/digest.ts';
import { readFileIfThere, writeFileWhole } from '../durable-file.ts';

export interface ModuleStoreOptions {
  /** Sum of the files, in bytes. */
  readonly maxDiskBytes: number;
  /** Sum of what is kept in memory, in bytes. */
  readonly maxMemoryBytes: number;
}

/** A hundred of the largest modules, or thousands of usual ones. */
export const DEFAULT_MODULE_STORE: ModuleStoreOptions = {
  maxDiskBytes: 2 ** 30,
  maxMemoryBytes: 64 * 2 ** 20,
};

const NAME = /^[0-9a-f]{64}$/;

export class ModuleStore {
  readonly #folder: string;
  readonly #options: ModuleStoreOptions;
  /** Name to bytes; the least recently used first. */
  readonly #hot = new Map<string, Uint8Array>();
  #hotBytes = 0;
  /** Name to size in bytes; the least recently used first. */
  readonly #files: Map<string, number>;
  #fileBytes: number;

  constructor(folder: string, options: ModuleStoreOptions = DEFAULT_MODULE_STORE) {
    this.#folder = folder;
    this.#options = options;
    const found = readdirSync(folder).filter((name) => NAME.test(name));
    const files = found.map((name) => ({ name, stat: statSync(join(folder, name)) }));
    files.sort((left, right) => left.stat.mtimeMs - right.stat.mtimeMs);
    this.#files = new Map(files.map(({ name, stat }) => [name, stat.size]));
    this.#fileBytes = files.reduce((sum, { stat }) => sum + stat.size, 0);
    this.#shrinkDisk();
  }

  /** The module of this digest, or null where it is not here. `now` is Unix milliseconds. */
  get(moduleDigest: Uint8Array, now: number): Uint8Array | null {
    const name = Buffer.from(moduleDigest).toString('hex');
    const hot = this.#hot.get(name);
    if (hot !== undefined) {
      this.#hot.delete(name);
      this.#hot.set(name, hot);
      return hot;
    }
    const size = this.#files.get(name);
    if (size === undefined) return null;
    const bytes = readFileIfThere(this.#path(name));
    if (bytes === null || !sameBytes(digest(bytes), moduleDigest)) {
      this.#forget(name);
      return null;
    }
    this.#files.delete(name);
    this.#files.set(name, size);
    // The order of use outlives this process.
    utimesSync(this.#path(name), now / 1_000, now / 1_000);
    this.#keepHot(name, bytes);
    return bytes;
  }

  /** Keeps a module whose digest was checked. */
  put(moduleDigest: Uint8Array, bytes: Uint8Array): void {
    const name = Buffer.from(moduleDigest).toString('hex');
    this.#keepHot(name, bytes);
    if (this.#files.has(name) || bytes.length > this.#options.maxDiskBytes) return;
    writeFileWhole(this.#path(name), bytes);
    this.#files.set(name, bytes.length);
    this.#fileBytes += bytes.length;
    this.#shrinkDisk();
  }

  #keepHot(name: string, bytes: Uint8Array): void {
    this.#hotBytes += bytes.length - (this.#hot.get(name)?.length ?? 0);
    this.#hot.delete(name);
    this.#hot.set(name, bytes);
    for (const [oldest, { length }] of this.#hot) {
      if (this.#hotBytes <= this.#options.maxMemoryBytes) return;
      this.#hot.delete(oldest);
      this.#hotBytes -= length;
    }
  }

  #shrinkDisk(): void {
    for (const name of this.#files.keys()) {
      if (this.#fileBytes <= this.#options.maxDiskBytes) return;
      this.#forget(name);
    }
  }

  #forget(name: string): void {
    this.#fileBytes -= this.#files.get(name) ?? 0;
    this.#files.delete(name);
    rmSync(this.#path(name), { force: true });
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}
