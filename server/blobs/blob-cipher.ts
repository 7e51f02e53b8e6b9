// Blobs are stored sealed: AES-256-GCM under a key of the blob's own, a fresh nonce for each chunk. The
// index is authenticated, so that chunks of one blob cannot change places.
//
//   sealed chunk = nonce (12) || ciphertext || tag (16)
import { createCipheriv, createDecipheriv } from 'node:crypto';

export const BLOB_KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** By how much a sealed chunk is longer than its plain bytes. */
export const SEAL_BYTES = NONCE_BYTES + TAG_BYTES;

/** `random` answers so many cryptographically random bytes. */
export function sealChunk(
  chunk: { key: Uint8Array; index: number; bytes: Uint8Array },
  random: (bytes: number) => Uint8Array,
): Uint8Array {
  const nonce = random(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', chunk.key, nonce);
  cipher.setAAD(indexBytes(chunk.index));
  return Buffer.concat([nonce, cipher.update(chunk.bytes), cipher.final(), cipher.getAuthTag()]);
}

/** Throws where the bytes are not what was sealed under this key at this index. */
export function openChunk(chunk: {
  key: Uint8Array;
  index: number;
  sealed: Uint8Array;
}): Uint8Array {
  const { key, index, sealed } = chunk;
  if (sealed.length < SEAL_BYTES) {
    throw new Error(`opening the chunk ${index} of a blob: ${sealed.length} bytes are too few`);
  }
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES));
  decipher.setAAD(indexBytes(index));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const body = sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES);
  return Buffer.concat([decipher.update(body), decipher.final()]);
}

function indexBytes(index: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(index);
  return bytes;
}
