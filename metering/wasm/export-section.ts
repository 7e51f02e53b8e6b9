// The export section (core specification, section 5.5.10).

import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { WasmError } from './error.ts';
import type { IndexSpaces } from './index-spaces.ts';
import { MAX_EXPORTS } from './limits.ts';

const KINDS = ['function', 'table', 'memory', 'global'] as const;

export interface Export {
  readonly name: string;
  readonly kind: (typeof KINDS)[number];
  readonly index: number;
  /** Where it stands in the file that it was read from; 0 when it was read from none. */
  readonly offset: number;
}

type ExportSpaces = Pick<IndexSpaces, 'functions' | 'tables' | 'memories' | 'globals'>;

export function readExportSection(reader: ByteReader, spaces: ExportSpaces): Export[] {
  const counts = [spaces.functions, spaces.tables, spaces.memories, spaces.globals];
  const count = reader.count('exports', MAX_EXPORTS, 3);
  const exports: Export[] = [];
  const names = new Set<string>();
  for (let position = 0; position < count; position++) {
    const { offset } = reader;
    const name = reader.name();
    if (names.has(name)) throw new WasmError(offset, `"${name}" is exported twice`);
    names.add(name);
    const kindOffset = reader.offset;
    const code = reader.byte();
    const kind = KINDS[code];
    if (kind === undefined) {
      throw new WasmError(
        kindOffset,
        code === 4
          ? 'a tag of the proposal "exceptions" is not accepted'
          : `${code} is no kind of export`,
      );
    }
    const indexOffset = reader.offset;
    const index = reader.u32();
    if (index >= counts[code]!) {
      throw new WasmError(indexOffset, `${kind} ${index} is not there: ${counts[code]} are`);
    }
    exports.push({ name, kind, index, offset });
  }
  return exports;
}

export function writeExportSection(writer: ByteWriter, exports: readonly Export[]): void {
  writer.u32(exports.length);
  for (const { name, kind, index } of exports) {
    writer.name(name);
    writer.byte(KINDS.indexOf(kind));
    writer.u32(index);
  }
}
