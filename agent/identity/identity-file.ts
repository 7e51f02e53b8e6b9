// The node's identity on disk. Two files, each whole or not there: who the node is, and a renewal that was
// begun. A key is on disk before its request is sent, so an answer that was lost is asked for again with
// the same key and counter, and no certificate is ever issued to a key that nobody has.
import { rmSync, statSync } from 'node:fs';
import { z } from 'zod';

import { isId } from '../../protocol/identity/ids.ts';
import { PRIVATE_FILE_MODE, readFileIfThere, writeFileDurably } from '../durable-file.ts';
import { MAX_ADDRESSES } from '../control-plane/address.ts';
import { AgentError } from '../error.ts';
import type { AgentFolder } from '../folder.ts';

/** Chains have two certificates of 500 bytes; a file of a hundred times that is none of ours. */
const MAX_FILE_BYTES = 262_144;
/** Leaf and intermediates. */
const MAX_CHAIN_CERTIFICATES = 4;
const MAX_CERTIFICATE_BYTES = 8_192;
/** Renewals that happened while one order was running. */
const MAX_RETIRED_KEYS = 32;

const bytes = (mostBytes: number) =>
  z.base64().transform((text, context) => {
    const value = new Uint8Array(Buffer.from(text, 'base64'));
    if (value.length === 0 || value.length > mostBytes) {
      context.addIssue({
        code: 'custom',
        message: `has ${value.length} bytes, not 1 to ${mostBytes}`,
      });
    }
    return value;
  });
const bytesOf = (length: number) =>
  bytes(length).refine((value) => value.length === length, `is not ${length} bytes long`);
const chain = z.array(bytes(MAX_CERTIFICATE_BYTES)).min(1).max(MAX_CHAIN_CERTIFICATES);
const counter = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const IdentitySchema = z.strictObject({
  version: z.literal(1),
  /** `host:port` of each replica of the control plane. */
  addresses: z.array(z.string().min(1).max(300)).min(1).max(MAX_ADDRESSES),
  /** The pinned root certificate, DER. */
  root: bytes(MAX_CERTIFICATE_BYTES),
  nodeId: z.string().refine((text) => isId('n', text), 'is no node id'),
  keyId: bytesOf(32),
  /** DER, leaf first, the root left off. */
  chain,
  heartbeat: z.strictObject({ keyId: z.int().min(0), up: bytesOf(32), down: bytesOf(32) }),
  renewalCounter: counter,
  /** Earlier keys of this node that orders may still name. */
  retired: z.array(z.strictObject({ keyId: bytesOf(32), chain })).max(MAX_RETIRED_KEYS),
});

const PendingSchema = z.strictObject({
  version: z.literal(1),
  keyId: bytesOf(32),
  renewalCounter: counter,
});

/** Who a node is: everything but its private keys, which are named here by their ids. */
export type IdentityRecord = z.output<typeof IdentitySchema>;

/** A renewal that was begun: the key and the counter that it was, or is to be, sent with. */
export type PendingRenewal = z.output<typeof PendingSchema>;

/** The identity, or null where none was stored. Throws AgentError IDENTITY_DAMAGED. */
export function readIdentity(folder: AgentFolder): IdentityRecord | null {
  return readRecord(folder.identityFile, IdentitySchema);
}

export function writeIdentity(folder: AgentFolder, identity: IdentityRecord): void {
  writeFileDurably(folder.identityFile, jsonOf(identity));
}

/** The renewal that was begun and not finished, or null. Throws AgentError IDENTITY_DAMAGED. */
export function readPending(folder: AgentFolder): PendingRenewal | null {
  return readRecord(folder.pendingFile, PendingSchema);
}

export function writePending(folder: AgentFolder, pending: PendingRenewal): void {
  writeFileDurably(folder.pendingFile, jsonOf(pending));
}

export function erasePending(folder: AgentFolder): void {
  rmSync(folder.pendingFile, { force: true });
}

function readRecord<S extends z.ZodType>(path: string, schema: S): z.output<S> | null {
  const text = readFileIfThere(path);
  if (text === null) return null;
  const { mode } = statSync(path);
  if (process.platform !== 'win32' && (mode & 0o777 & ~PRIVATE_FILE_MODE) !== 0) {
    throw damaged(path, `its mode is ${(mode & 0o777).toString(8)}, open to others; make it 600`);
  }
  if (text.length > MAX_FILE_BYTES) {
    throw damaged(path, `it has ${text.length} bytes, more than ${MAX_FILE_BYTES}`);
  }
  try {
    return schema.parse(JSON.parse(text.toString('utf8')));
  } catch (cause) {
    // The text holds heartbeat keys: the problem names fields, never their values.
    const fields =
      cause instanceof z.ZodError ? cause.issues.map((issue) => issue.path.join('.')) : [];
    const what = fields.length === 0 ? 'it is not JSON' : `wrong in ${fields.join(', ') || 'form'}`;
    throw damaged(path, what);
  }
}

function damaged(path: string, problem: string): AgentError {
  return new AgentError(
    'IDENTITY_DAMAGED',
    `reading '${path}': ${problem}; restore it, or enrol again with 'agent enrol --replace'`,
  );
}

function jsonOf(record: object): string {
  return `${JSON.stringify(
    record,
    (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
    2,
  )}\n`;
}
