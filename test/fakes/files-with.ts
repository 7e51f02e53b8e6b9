import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

/** The files below these folders that have the bytes anywhere in them, by their paths within the folder. */
export function filesWith(bytes: Uint8Array, ...folders: readonly string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => statSync(path).size > 0 && readFileSync(path).includes(bytes))
      .map((path) => relative(folder, path)),
  );
}
