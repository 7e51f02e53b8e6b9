// The function section: the type of each function that the module defines (core specification,
// section 5.5.6).

import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { readTypeIndex } from './import-section.ts';
import { MAX_FUNCTIONS } from './limits.ts';

/** Reads the type index of each function. */
export function readFunctionSection(reader: ByteReader, typeCount: number): Uint32Array {
  const count = reader.count('functions', MAX_FUNCTIONS);
  const typeIndices = new Uint32Array(count);
  for (let index = 0; index < count; index++) typeIndices[index] = readTypeIndex(reader, typeCount);
  return typeIndices;
}

export function writeFunctionSection(writer: ByteWriter, typeIndices: Uint32Array): void {
  writer.u32(typeIndices.length);
  for (const typeIndex of typeIndices) writer.u32(typeIndex);
}
