// Function types, and the type section that lists them (core specification, section 5.5.4).

import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { WasmError } from './error.ts';
import { MAX_PARAMETERS, MAX_RESULTS, MAX_TYPES } from './limits.ts';
import { readValueType, writeValueType, type ValueType } from './value-type.ts';

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

const FUNCTION = 0x60;
const REFUSED: ReadonlyMap<number, string> = new Map([
  ...[0x4d, 0x4e, 0x4f, 0x50, 0x5e, 0x5f].map((form): [number, string] => [form, 'GC']),
  [0x5d, 'stack switching'],
]);

export function readTypeSection(reader: ByteReader): FunctionType[] {
  const count = reader.count('types', MAX_TYPES, 2);
  const types: FunctionType[] = [];
  for (let index = 0; index < count; index++) types.push(readFunctionType(reader));
  return types;
}

function readFunctionType(reader: ByteReader): FunctionType {
  const { offset } = reader;
  const form = reader.byte();
  if (form !== FUNCTION) {
    const proposal = REFUSED.get(form);
    throw new WasmError(
      offset,
      proposal === undefined
        ? `0x${form.toString(16).padStart(2, '0')} is no form of a type`
        : `a type of the proposal "${proposal}" is not accepted`,
    );
  }
  const parameters = readValueTypes(reader, 'parameters', MAX_PARAMETERS);
  return { parameters, results: readValueTypes(reader, 'results', MAX_RESULTS) };
}

function readValueTypes(reader: ByteReader, what: string, bound: number): ValueType[] {
  const count = reader.count(what, bound);
  const types: ValueType[] = [];
  for (let index = 0; index < count; index++) types.push(readValueType(reader));
  return types;
}

export function writeTypeSection(writer: ByteWriter, types: readonly FunctionType[]): void {
  writer.u32(types.length);
  for (const { parameters, results } of types) {
    writer.byte(FUNCTION);
    writer.u32(parameters.length);
    for (const type of parameters) writeValueType(writer, type);
    writer.u32(results.length);
    for (const type of results) writeValueType(writer, type);
  }
}
