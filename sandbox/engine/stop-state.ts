import { createHash } from 'node:crypto';

const PREFIX = 'gap-junction/stop-state/v1\n';

/**
 * Digest of a guest's memories at a stop: SHA-256 of the prefix, a 4-byte count and, for each memory in
 * the order of instantiation, its 8-byte length and all its bytes; numbers big-endian. 32 bytes.
 *
 * The same as stopStateDigest in protocol/bill/stop-state.ts; this folder imports no protocol, so
 * test/sandbox/stops.test.ts and the vectors hold the two equal.
 */
export function digestStopState(memories: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256').update(PREFIX);
  const count = new DataView(new ArrayBuffer(4));
  count.setUint32(0, memories.length);
  hash.update(count);
  for (const bytes of memories) {
    const length = new DataView(new ArrayBuffer(8));
    length.setBigUint64(0, BigInt(bytes.byteLength));
    hash.update(length).update(bytes);
  }
  return new Uint8Array(hash.digest());
}
