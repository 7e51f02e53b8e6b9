// The import section (core specification, section 5.5.5).

import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { WasmError } from './error.ts';
import { readGlobalType, writeGlobalType, type GlobalType } from './global-section.ts';
import type { Limits } from './size-limits.ts';
import { writeLimits } from './size-limits.ts';
import { MAX_IMPORTS } from './limits.ts';
import { readMemoryType } from './memory-section.ts';
import { readTableType, writeTableType, type TableType } from './table-section.ts';

export type ImportedThing =
  | { readonly kind: 'function'; readonly typeIndex: number }
  | { readonly kind: 'table'; readonly type: TableType }
  | { readonly kind: 'memory'; readonly size: Limits }
  | { readonly kind: 'global'; readonly type: GlobalType };

export interface Import {
  readonly module: string;
  readonly name: string;
  readonly thing: ImportedThing;
  /** Where it stands in the file that it was read from; 0 when it was read from none. */
  readonly offset: number;
}

export function readImportSection(reader: ByteReader, typeCount: number): Import[] {
  const count = reader.count('imports', MAX_IMPORTS, 4);
  const imports: Import[] = [];
  for (let index = 0; index < count; index++) {
    const { offset } = reader;
    const module = reader.name();
    const name = reader.name();
    imports.push({ module, name, thing: readImportedThing(reader, typeCount), offset });
  }
  return imports;
}

function readImportedThing(reader: ByteReader, typeCount: number): ImportedThing {
  const { offset } = reader;
  const kind = reader.byte();
  switch (kind) {
    case 0:
      return { kind: 'function', typeIndex: readTypeIndex(reader, typeCount) };
    case 1:
      return { kind: 'table', type: readTableType(reader) };
    case 2:
      return { kind: 'memory', size: readMemoryType(reader) };
    case 3:
      return { kind: 'global', type: readGlobalType(reader) };
    case 4:
      throw new WasmError(offset, 'a tag of the proposal "exceptions" is not accepted');
    default:
      throw new WasmError(offset, `${kind} is no kind of import`);
  }
}

/** Reads an index of a function type, of which there are `typeCount`. */
export function readTypeIndex(reader: ByteReader, typeCount: number): number {
  const { offset } = reader;
  const index = reader.u32();
  if (index >= typeCount) {
    throw new WasmError(offset, `type ${index} is not there: ${typeCount} are`);
  }
  return index;
}

export function writeImportSection(writer: ByteWriter, imports: readonly Import[]): void {
  writer.u32(imports.length);
  for (const { module, name, thing } of imports) {
    writer.name(module);
    writer.name(name);
    switch (thing.kind) {
      case 'function':
        writer.byte(0);
        writer.u32(thing.typeIndex);
        break;
      case 'table':
        writer.byte(1);
        writeTableType(writer, thing.type);
        break;
      case 'memory':
        writer.byte(2);
        writeLimits(writer, thing.size);
        break;
      case 'global':
        writer.byte(3);
        writeGlobalType(writer, thing.type);
        break;
    }
  }
}
