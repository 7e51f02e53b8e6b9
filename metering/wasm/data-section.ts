// The data section: what memory starts with (core specification, section 5.5.14).

import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import {
  readConstantExpression,
  writeConstantBytes,
  type ConstantBytes,
  type ConstantScope,
} from './constant-expression.ts';
import { WasmError } from './error.ts';
import type { IndexSpaces } from './index-spaces.ts';
import { MAX_SEGMENTS } from './limits.ts';

export interface DataSegment {
  /** Where in memory it is put at instantiation; null when it is passive. */
  readonly offset: ConstantBytes | null;
  readonly bytes: Uint8Array;
}

type DataScope = ConstantScope & Pick<IndexSpaces, 'memories' | 'maxMemoryBytes'>;

export function readDataSection(reader: ByteReader, scope: DataScope): DataSegment[] {
  const count = reader.count('data segments', MAX_SEGMENTS, 2);
  const segments: DataSegment[] = [];
  for (let index = 0; index < count; index++) segments.push(readSegment(reader, scope));
  return segments;
}

function readSegment(reader: ByteReader, scope: DataScope): DataSegment {
  const { offset } = reader;
  const flags = reader.u32();
  if (flags > 2) throw new WasmError(offset, `${flags} are no flags of a data segment`);
  if (flags === 1) return { offset: null, bytes: reader.take(reader.u32()) };
  if (flags === 2 && reader.u32() > 0) {
    throw new WasmError(offset, 'data for a memory of the proposal "multi-memory" is not accepted');
  }
  if (scope.memories === 0) throw new WasmError(offset, 'data has no memory to be put into');
  const at = readConstantExpression(reader, scope);
  const lengthOffset = reader.offset;
  const length = reader.u32();
  if (length > scope.maxMemoryBytes) {
    throw new WasmError(lengthOffset, `data of ${length} bytes can never be within the memory`);
  }
  return { offset: at, bytes: reader.take(length) };
}

export function writeDataSection(writer: ByteWriter, segments: readonly DataSegment[]): void {
  writer.u32(segments.length);
  for (const { offset, bytes } of segments) {
    writer.byte(offset === null ? 1 : 0);
    if (offset !== null) writeConstantBytes(writer, offset);
    writer.u32(bytes.length);
    writer.raw(bytes);
  }
}
