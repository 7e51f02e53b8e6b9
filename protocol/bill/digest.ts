// Content is named by its SHA-256.

import { createHash, hash } from 'node:crypto';

export const DIGEST_BYTES = 32;

/** SHA-256 of the bytes, 32 bytes. */
export function digest(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

/** What an empty output and empty logs are named. */
export const DIGEST_OF_NOTHING: Uint8Array = digest(new Uint8Array());

/** Whether these bytes can be a digest: 32 of them. */
export function isDigest(bytes: Uint8Array): boolean {
  return bytes.length === DIGEST_BYTES;
}

/** SHA-256 over the parts one after the other, without joining them first. */
export function digestOf(...parts: readonly Uint8Array[]): Uint8Array {
  const running = createHash('sha256');
  for (const part of parts) running.update(part);
  return running.digest();
}

/** Whether both have the same bytes. Not in constant time: for digests and ids, never for MACs. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

/** `sha256:<lower-case hex>`, the form for people. */
export function digestText(bytes: Uint8Array): string {
  return `sha256:${Buffer.from(bytes).toString('hex')}`;
}

/** The exact inverse of `digestText`; null for every other text. */
export function parseDigestText(text: string): Uint8Array | null {
  return /^sha256:[0-9a-f]{64}$/.test(text)
    ? new Uint8Array(Buffer.from(text.slice(7), 'hex'))
    : null;
}
