// Where an agent keeps what, and the lock that lets only one agent work in a folder.
import { chmodSync, existsSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { AgentError } from './error.ts';
import { PRIVATE_FOLDER_MODE } from './durable-file.ts';

export interface AgentFolder {
  readonly path: string;
  /** Who the node is: certificates, heartbeat keys, renewal counter. */
  readonly identityFile: string;
  /** A renewal or enrolment that was begun: which key was sent. */
  readonly pendingFile: string;
  /** Private keys, one a file. */
  readonly keyFolder: string;
  /** Modules by digest. */
  readonly moduleFolder: string;
  /** Receipts that the control plane has not answered yet. */
  readonly journalFolder: string;
  readonly billFolder: string;
  /** What `agent status` shows of a running agent. */
  readonly statusFile: string;
  readonly lockFile: string;
}

/** Makes the folder, closed to others, and its parts. */
export function openFolder(path: string): AgentFolder {
  mkdirSync(path, { recursive: true, mode: PRIVATE_FOLDER_MODE });
  chmodSync(path, PRIVATE_FOLDER_MODE);
  const folder = folderAt(realpathSync(path));
  for (const part of [
    folder.keyFolder,
    folder.moduleFolder,
    folder.journalFolder,
    folder.billFolder,
  ]) {
    mkdirSync(part, { recursive: true, mode: PRIVATE_FOLDER_MODE });
  }
  return folder;
}

/** The same names, without touching the disk. */
export function folderAt(path: string): AgentFolder {
  return {
    path,
    identityFile: join(path, 'identity.json'),
    pendingFile: join(path, 'pending.json'),
    keyFolder: join(path, 'keys'),
    moduleFolder: join(path, 'modules'),
    journalFolder: join(path, 'journal'),
    billFolder: join(path, 'bills'),
    statusFile: join(path, 'status.json'),
    lockFile: join(path, 'agent.lock'),
  };
}

const SQLITE_BUSY = 5;
/** `agent status` takes the lock for a moment, to see whether it is free. */
const LOCK_PATIENCE_MS = 250;

/**
 * Takes the folder for this process; the returned function gives it back. The lock is the one that SQLite
 * takes on a database file: the system releases it when its holder ends, however that ends, so no stale
 * one is ever left. Throws AgentError when another process holds it.
 */
export function lockFolder(folder: AgentFolder): () => void {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(folder.lockFile, { timeout: LOCK_PATIENCE_MS });
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
    throw new AgentError(
      'FOLDER_IN_USE',
      `opening the data folder '${folder.path}': another agent works in it; stop that one, or give this one a folder of its own with --data-dir`,
    );
  }
  const held = database;
  return () => held.close();
}

/** Whether an agent works in the folder now. Takes nothing and makes nothing. */
export function isFolderLocked(folder: AgentFolder): boolean {
  if (!existsSync(folder.lockFile)) return false;
  try {
    lockFolder(folder)();
    return false;
  } catch (error) {
    if (error instanceof AgentError && error.reason === 'FOLDER_IN_USE') return true;
    throw error;
  }
}
