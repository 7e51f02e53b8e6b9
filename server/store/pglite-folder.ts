// Where PGlite keeps its files in the data folder. Its first start takes seconds and is not one step: a
// kill in the middle leaves a database that cannot be opened. Nothing was acknowledged by then, so files
// without the mark that says they were made whole are made anew.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILES = 'pglite';
const MADE_WHOLE = 'pglite.ready';

export interface PgliteFolder {
  /** PGlite's own folder. */
  readonly path: string;
  /** There is no database yet. */
  readonly isNew: boolean;
  /** To be called when the database stands with its tables. */
  markReady(): void;
}

/** Call it under the lock of the data folder. */
export function pgliteFolder(dataFolder: string): PgliteFolder {
  const path = join(dataFolder, FILES);
  const mark = join(dataFolder, MADE_WHOLE);
  const isNew = !existsSync(mark);
  if (isNew) rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return {
    path,
    isNew,
    markReady() {
      if (isNew) writeFileSync(mark, '', { mode: 0o600 });
    },
  };
}
