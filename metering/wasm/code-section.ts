// The code section: locals and operators of each function (core specification, section 5.5.13). The
// operators stay bytes, to be gone through by OperatorReader.

import type { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { WasmError } from './error.ts';
import type { FunctionType } from './function-type.ts';
import { MAX_BODY_BYTES, MAX_LOCALS } from './limits.ts';
import { readValueType, writeValueType, type ValueType } from './value-type.ts';

export interface LocalGroup {
  readonly count: number;
  readonly type: ValueType;
}

export interface FunctionBody {
  readonly localGroups: readonly LocalGroup[];
  /** Parameters and locals. */
  readonly localCount: number;
  /** The operators with the last end, at `start` to before `end` of `source`. */
  readonly source: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Where ifs that are hardly ever entered are, in bytes from `start`; none when it was read. */
  readonly unlikely?: readonly number[];
}

/** Reads the body of each function; `types` are theirs, in order. */
export function readCodeSection(
  reader: ByteReader,
  types: readonly FunctionType[],
): FunctionBody[] {
  const { offset } = reader;
  const count = reader.u32();
  if (count !== types.length) {
    throw new WasmError(offset, `${count} function bodies stand for ${types.length} functions`);
  }
  return types.map((type) => readBody(reader, type));
}

function readBody(reader: ByteReader, type: FunctionType): FunctionBody {
  const { offset } = reader;
  const length = reader.u32();
  if (length > MAX_BODY_BYTES) {
    throw new WasmError(offset, `a body of ${length} bytes is longer than ${MAX_BODY_BYTES}`);
  }
  const body = reader.part(length);
  const groupCount = body.count('groups of locals', MAX_LOCALS, 2);
  const localGroups: LocalGroup[] = [];
  let localCount = type.parameters.length;
  for (let index = 0; index < groupCount; index++) {
    const groupOffset = body.offset;
    const count = body.u32();
    localCount += count;
    if (localCount > MAX_LOCALS) {
      throw new WasmError(groupOffset, `a function has more than ${MAX_LOCALS} locals`);
    }
    localGroups.push({ count, type: readValueType(body) });
  }
  return { localGroups, localCount, source: body.bytes, start: body.offset, end: body.end };
}

export function writeCodeSection(writer: ByteWriter, bodies: readonly FunctionBody[]): void {
  writer.u32(bodies.length);
  const scratch = new ByteWriter(4096);
  for (const { localGroups, source, start, end } of bodies) {
    scratch.clear();
    writeLocalGroups(scratch, localGroups);
    scratch.copy(source, start, end);
    writer.sized(scratch);
  }
}

export function writeLocalGroups(writer: ByteWriter, localGroups: readonly LocalGroup[]): void {
  writer.u32(localGroups.length);
  for (const { count, type } of localGroups) {
    writer.u32(count);
    writeValueType(writer, type);
  }
}
