import { createHash } from 'node:crypto';
import { utf8 } from '../bytes.ts';

const PREFIX = utf8('gap-junction/stop-state/v1\n');

/**
 * What a stopped guest's memories were, 32 bytes: SHA-256("gap-junction/stop-state/v1\n" || count in 4
 * bytes || LP(all bytes) of each memory, in order of instantiation). Reads the memories in place.
 *
 * The same as digestStopState in sandbox/engine/stop-state.ts, which imports no protocol;
 * test/sandbox/stops.test.ts and the vectors hold the two equal.
 */
export function stopStateDigest(memories: readonly Uint8Array[]): Uint8Array {
  const running = createHash('sha256').update(PREFIX);
  const number = Buffer.alloc(8);
  number.writeUInt32BE(memories.length);
  running.update(number.subarray(0, 4));
  for (const memory of memories) {
    number.writeBigUInt64BE(BigInt(memory.length));
    running.update(number).update(memory);
  }
  return running.digest();
}
