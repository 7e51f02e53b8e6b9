// The node's own key: made here, kept in a file that only its owner reads, never sent anywhere.
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { keyIdOf } from '../../protocol/identity/key-id.ts';
import { PRIVATE_FILE_MODE, readFileIfThere, writeFileDurably } from '../durable-file.ts';
import { AgentError } from '../error.ts';

/** An ECDSA P-256 key pair of this node. */
export interface NodeKey {
  /** SHA-256 of the DER SubjectPublicKeyInfo, 32 bytes. */
  readonly keyId: Uint8Array;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** ECDSA with SHA-256, IEEE P1363, 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

export function generateNodeKey(): NodeKey {
  return nodeKeyOf(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey);
}

/** Writes the key, mode 0600, synced, under its key id. */
export function storeNodeKey(keyFolder: string, key: NodeKey): void {
  const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileDurably(keyFile(keyFolder, key.keyId), pem);
}

/**
 * Reads the key of this id. Throws AgentError IDENTITY_DAMAGED where it is missing, open to other users,
 * half written, or another key than its name says.
 */
export function loadNodeKey(keyFolder: string, keyId: Uint8Array): NodeKey {
  const path = keyFile(keyFolder, keyId);
  const pem = readFileIfThere(path);
  if (pem === null) throw damaged(path, 'it is missing');
  const mode = statSync(path).mode & 0o777;
  // Windows has no such bits; the folder belongs to the user there.
  if (process.platform !== 'win32' && (mode & ~PRIVATE_FILE_MODE) !== 0) {
    throw damaged(path, `its mode is ${mode.toString(8)}, open to others; make it 600`);
  }
  let key: NodeKey;
  try {
    key = nodeKeyOf(createPrivateKey(pem));
  } catch (cause) {
    throw damaged(path, 'it is no ECDSA P-256 key in PEM', cause);
  }
  if (Buffer.compare(key.keyId, keyId) !== 0) throw damaged(path, 'it holds another key');
  return key;
}

export function eraseNodeKey(keyFolder: string, keyId: Uint8Array): void {
  rmSync(keyFile(keyFolder, keyId), { force: true });
}

/** Erases every key but these: those of enrolments and renewals that never got an answer. */
export function eraseOtherKeys(keyFolder: string, kept: readonly Uint8Array[]): void {
  const names = new Set(kept.map((keyId) => Buffer.from(keyId).toString('hex')));
  for (const file of readdirSync(keyFolder)) {
    const [, name] = /^([0-9a-f]{64})\.pem(?:\.[0-9a-f]+\.new)?$/.exec(file) ?? [];
    if (name !== undefined && (!names.has(name) || file.endsWith('.new'))) {
      rmSync(join(keyFolder, file), { force: true });
    }
  }
}

function keyFile(keyFolder: string, keyId: Uint8Array): string {
  return join(keyFolder, `${Buffer.from(keyId).toString('hex')}.pem`);
}

function nodeKeyOf(privateKey: KeyObject): NodeKey {
  const publicKey = createPublicKey(privateKey);
  const keyId = keyIdOf(publicKey);
  if (keyId === null) throw new RangeError('A node key is an ECDSA P-256 key');
  return {
    keyId,
    privateKey,
    publicKey,
    sign: (message) => sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  };
}

function damaged(path: string, problem: string, cause?: unknown): AgentError {
  return new AgentError(
    'IDENTITY_DAMAGED',
    `reading the node's key '${path}': ${problem}; restore it, or enrol again with 'agent enrol --replace'`,
    { cause },
  );
}
