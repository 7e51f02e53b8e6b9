import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/**
 * The files below these folders that have the bytes anywhere in them, by their paths within the folder: a
 * list for each of the `needles`.
 */
export function filesWith(
  needles: readonly Uint8Array[],
  ...folders: readonly string[]
): readonly string[][] {
  const found = needles.map((): string[] => []);
  for (const folder of folders) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const content = readFileSync(path);
      for (const [at, needle] of needles.entries()) {
        if (content.includes(needle)) found[at]?.push(relative(folder, path));
      }
    }
  }
  return found;
}
