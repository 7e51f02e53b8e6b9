// A lock on a folder that dies with its holder, whatever kills it. PGlite has none, and two processes on
// one folder destroy it. Node.js cannot lock files, but SQLite, which is part of it, does: an open
// exclusive transaction on `lock` is a lock of the kernel (fcntl, LockFileEx on Windows), which a kill -9
// ends, so there is no stale lock to judge. The file holds nothing else.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export interface FolderLock {
  release(): void;
}

/** Makes the folder (0700) where it is missing, and locks it. Throws when another holder lives. */
export function lockFolder(folder: string): FolderLock {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = new DatabaseSync(join(folder, 'lock'), { timeout: 0 });
  try {
    file.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE');
  } catch (cause) {
    file.close();
    throw new Error(
      `opening the data folder '${folder}': another server is using it; stop that one, or name another folder with --data-dir`,
      { cause },
    );
  }
  return { release: () => file.close() };
}
