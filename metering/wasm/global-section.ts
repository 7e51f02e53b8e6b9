// The global section (core specification, section 5.5.9).

import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import {
  readConstantExpression,
  writeConstantBytes,
  type ConstantBytes,
  type ConstantScope,
} from './constant-expression.ts';
import { WasmError } from './error.ts';
import { MAX_GLOBALS } from './limits.ts';
import { readValueType, writeValueType, type ValueType } from './value-type.ts';

export interface GlobalType {
  readonly value: ValueType;
  readonly mutable: boolean;
}

export interface Global {
  readonly type: GlobalType;
  readonly initial: ConstantBytes;
}

/** Reads the globals; `imported` says how many of them come before the module's own. */
export function readGlobalSection(
  reader: ByteReader,
  { functions, globals: imported }: ConstantScope,
): Global[] {
  const count = reader.count('globals', MAX_GLOBALS, 4);
  const globals: Global[] = [];
  for (let index = 0; index < count; index++) {
    const type = readGlobalType(reader);
    const scope = { functions, globals: imported + index };
    globals.push({ type, initial: readConstantExpression(reader, scope) });
  }
  return globals;
}

export function readGlobalType(reader: ByteReader): GlobalType {
  const value = readValueType(reader);
  const { offset } = reader;
  const flags = reader.byte();
  if (flags > 1) {
    throw new WasmError(
      offset,
      flags < 4
        ? 'a global of the proposal "threads" is not accepted'
        : `0x${flags.toString(16)} says neither var nor const`,
    );
  }
  return { value, mutable: flags === 1 };
}

export function writeGlobalSection(writer: ByteWriter, globals: readonly Global[]): void {
  writer.u32(globals.length);
  for (const { type, initial } of globals) {
    writeGlobalType(writer, type);
    writeConstantBytes(writer, initial);
  }
}

export function writeGlobalType(writer: ByteWriter, { value, mutable }: GlobalType): void {
  writeValueType(writer, value);
  writer.byte(mutable ? 1 : 0);
}
