// Puts a bug into a copy of the source, and takes it out again.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Edit } from './mutants.ts';

/** Throws where the text to replace does not stand in the file exactly once. */
export function edited(text: string, { file, find, replace }: Edit): string {
  const parts = text.split(find);
  if (parts.length !== 2) {
    throw new Error(
      `putting a bug into '${file}': '${find}' stands there ${parts.length - 1} times, not once; the source changed, so write the edit anew`,
    );
  }
  return parts.join(replace);
}

/** Edits the files under `root`; the returned function writes them as they were. */
export function putIn(root: string, edits: readonly Edit[]): () => void {
  const before = new Map<string, string>();
  for (const edit of edits) {
    const path = join(root, edit.file);
    const text = readFileSync(path, 'utf8');
    if (!before.has(path)) before.set(path, text);
    writeFileSync(path, edited(text, edit));
  }
  return () => {
    for (const [path, text] of before) writeFileSync(path, text);
  };
}
