// The table section (core specification, section 5.5.7).

import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { WasmError } from './error.ts';
import { readLimits, writeLimits, type Limits } from './size-limits.ts';
import { MAX_TABLE_ELEMENTS, MAX_TABLES } from './limits.ts';
import { readReferenceType, writeValueType, type ReferenceType } from './value-type.ts';

export interface TableType {
  readonly element: ReferenceType;
  readonly size: Limits;
}

const WITH_INITIAL_VALUE = 0x40;

export function readTableSection(reader: ByteReader): TableType[] {
  const count = reader.count('tables', MAX_TABLES, 3);
  const tables: TableType[] = [];
  for (let index = 0; index < count; index++) tables.push(readTableType(reader));
  return tables;
}

export function readTableType(reader: ByteReader): TableType {
  const { offset } = reader;
  if (!reader.atEnd && reader.bytes[offset] === WITH_INITIAL_VALUE) {
    throw new WasmError(
      offset,
      'a table with an initial value, of the proposal "typed function references", is not accepted',
    );
  }
  const element = readReferenceType(reader);
  return {
    element,
    size: readLimits(reader, { what: 'table', bound: MAX_TABLE_ELEMENTS, unit: 'elements' }),
  };
}

export function writeTableSection(writer: ByteWriter, tables: readonly TableType[]): void {
  writer.u32(tables.length);
  for (const table of tables) writeTableType(writer, table);
}

export function writeTableType(writer: ByteWriter, { element, size }: TableType): void {
  writeValueType(writer, element);
  writeLimits(writer, size);
}
