// The memory section (core specification, section 5.5.8).

import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { WasmError } from './error.ts';
import { readLimits, writeLimits, type Limits } from './size-limits.ts';
import { MAX_MEMORIES, MAX_MEMORY_PAGES } from './limits.ts';

export function readMemorySection(reader: ByteReader): Limits[] {
  const { offset } = reader;
  const count = reader.u32();
  if (count > MAX_MEMORIES) refuseSecondMemory(offset);
  return count === 0 ? [] : [readMemoryType(reader)];
}

/** Throws the WasmError for a module with more memories than one. */
export function refuseSecondMemory(offset: number): never {
  throw new WasmError(offset, 'a second memory, of the proposal "multi-memory", is not accepted');
}

export function readMemoryType(reader: ByteReader): Limits {
  const { offset } = reader;
  const size = readLimits(reader, { what: 'memory', bound: MAX_MEMORY_PAGES, unit: 'pages' });
  if (size.max !== null && size.max > MAX_MEMORY_PAGES) {
    throw new WasmError(
      offset,
      `a memory has a maximum of ${size.max} pages, more than ${MAX_MEMORY_PAGES}`,
    );
  }
  return size;
}

export function writeMemorySection(writer: ByteWriter, memories: readonly Limits[]): void {
  writer.u32(memories.length);
  for (const size of memories) writeLimits(writer, size);
}
