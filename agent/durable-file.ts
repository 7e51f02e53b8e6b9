// Files that are whole or not there, whenever the process or the machine stops.
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Only the owner reads what an agent writes: keys, inputs, receipts. */
export const PRIVATE_FILE_MODE = 0o600;
export const PRIVATE_FOLDER_MODE = 0o700;

/**
 * Replaces the file with these bytes, mode 0600: written beside it, synced, renamed, and the folder
 * synced. A reader sees the old bytes or the new ones, also after a power loss.
 */
export function writeFileDurably(path: string, bytes: Uint8Array | string): void {
  const besides = `${path}.${randomBytes(6).toString('hex')}.new`;
  const file = openSync(besides, 'wx', PRIVATE_FILE_MODE);
  try {
    writeAll(file, bytes);
    fsyncSync(file);
  } catch (error) {
    rmSync(besides, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(besides, path);
  syncFolder(dirname(path));
}

/** The same without syncing: safe against the end of the process, not of the machine. */
export function writeFileWhole(path: string, bytes: Uint8Array | string): void {
  const besides = `${path}.new`;
  const file = openSync(besides, 'w', PRIVATE_FILE_MODE);
  try {
    writeAll(file, bytes);
  } finally {
    closeSync(file);
  }
  renameSync(besides, path);
}

/** The file's bytes, or null where there is no such file. */
export function readFileIfThere(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function writeAll(file: number, bytes: Uint8Array | string): void {
  const all = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  for (let at = 0; at < all.length;) at += writeSync(file, all, at);
}

/** A rename is durable when its folder is; Windows cannot open a folder, and needs no such sync. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return;
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
