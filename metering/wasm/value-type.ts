// Value types of the core specification (section 5.3.4), without those of proposals that are refused.

import { WasmError } from './error.ts';
import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';

export type ReferenceType = 'funcref' | 'externref';
export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128' | ReferenceType;

const BY_CODE: ReadonlyMap<number, ValueType> = new Map([
  [0x7f, 'i32'],
  [0x7e, 'i64'],
  [0x7d, 'f32'],
  [0x7c, 'f64'],
  [0x7b, 'v128'],
  [0x70, 'funcref'],
  [0x6f, 'externref'],
]);

const CODES: ReadonlyMap<ValueType, number> = new Map(
  [...BY_CODE].map(([code, type]) => [type, code]),
);

const REFUSED: ReadonlyMap<number, string> = new Map([
  [0x63, 'typed function references'],
  [0x64, 'typed function references'],
  [0x68, 'stack switching'],
  [0x75, 'stack switching'],
  [0x69, 'exceptions'],
  [0x74, 'exceptions'],
  ...[0x6e, 0x6d, 0x6c, 0x6b, 0x6a, 0x71, 0x72, 0x73].map((code): [number, string] => [code, 'GC']),
]);

/** The value type with this byte, or undefined when the byte names none that is accepted. */
export function valueTypeOf(code: number): ValueType | undefined {
  return BY_CODE.get(code);
}

/** The byte of a value type. */
export function codeOfValueType(type: ValueType): number {
  return CODES.get(type)!;
}

/** Throws the WasmError that says why the byte at `offset` is no value type that is accepted. */
export function refuseValueType(code: number, offset: number): never {
  const proposal = REFUSED.get(code);
  throw new WasmError(
    offset,
    proposal === undefined
      ? `0x${code.toString(16).padStart(2, '0')} is no value type`
      : `a value type of the proposal "${proposal}" is not accepted`,
  );
}

export function readValueType(reader: ByteReader): ValueType {
  const { offset } = reader;
  const code = reader.byte();
  return valueTypeOf(code) ?? refuseValueType(code, offset);
}

export function readReferenceType(reader: ByteReader): ReferenceType {
  const { offset } = reader;
  const type = readValueType(reader);
  if (type !== 'funcref' && type !== 'externref') {
    throw new WasmError(offset, `${type} stands where a reference type is needed`);
  }
  return type;
}

export function writeValueType(writer: ByteWriter, type: ValueType): void {
  writer.byte(codeOfValueType(type));
}
