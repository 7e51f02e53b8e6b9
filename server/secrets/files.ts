// Files that hold keys. They appear whole or not at all, and are read by their owner alone.
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** Group and others may do nothing. Windows has no such bits. */
const OTHERS_MASK = 0o077;

/** The longest of ours, a chain in PEM, has about 2 KiB. */
const MAX_FILE_BYTES = 64 * 1024;

const SECRET_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** Writes the file, 0600 unless told otherwise: a temporary one first, synced, then renamed. */
export function writeFileWhole(path: string, content: string, mode = SECRET_MODE): void {
  const temporary = `${path}.new-${randomBytes(6).toString('hex')}`;
  writeSynced(temporary, content, mode);
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Makes a folder (0700) with all these files (0600) in one step: a kill leaves none of it, or all. */
export function writeFolderWhole(path: string, files: Readonly<Record<string, string>>): void {
  const parent = dirname(path);
  removeLeftovers(parent);
  const temporary = `${path}.new-${randomBytes(6).toString('hex')}`;
  mkdirSync(temporary, { recursive: true, mode: FOLDER_MODE });
  for (const [name, content] of Object.entries(files)) {
    writeSynced(join(temporary, name), content, SECRET_MODE);
  }
  syncFolder(temporary);
  renameSync(temporary, path);
  syncFolder(parent);
}

/**
 * Reads a secret file. Throws when it is missing, empty, too long, not a plain file, or when others may
 * read or change it.
 */
export function readSecretFile(path: string): string {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    throw new Error(
      `reading '${path}': it is missing; put it back from your copy of the data folder`,
    );
  }
  if (!found.isFile()) throw new Error(`reading '${path}': it is not a plain file`);
  if (process.platform !== 'win32' && (found.mode & OTHERS_MASK) !== 0) {
    const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
    throw new Error(
      `reading '${path}': its mode is ${mode}, so others can use this key; replace the key if they may have, then 'chmod 600' the file`,
    );
  }
  if (found.size === 0 || found.size > MAX_FILE_BYTES) {
    throw new Error(
      `reading '${path}': it has ${found.size} bytes, which no key file has; put it back from your copy of the data folder`,
    );
  }
  return readFileSync(path, 'utf8');
}

/** What an interrupted write left behind was never used. */
export function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (/\.new-[0-9a-f]{12}$/.test(name)) rmSync(join(folder, name), { recursive: true });
  }
}

function writeSynced(path: string, content: string, mode: number): void {
  const file = openSync(path, 'wx', mode);
  try {
    writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** A rename is durable once its folder is. Windows cannot open a folder and needs no such thing. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return;
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
