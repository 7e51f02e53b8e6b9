// A module to bytes: every section that has something in it, in its order.

import { hasBranchHints, writeBranchHintSection } from './branch-hint-section.ts';
import { ByteWriter } from './byte-writer.ts';
import { writeCodeSection } from './code-section.ts';
import { writeCustomSection } from './custom-section.ts';
import { writeDataSection } from './data-section.ts';
import { writeElementSection } from './element-section.ts';
import { writeExportSection } from './export-section.ts';
import { writeFunctionSection } from './function-section.ts';
import { writeTypeSection } from './function-type.ts';
import { writeGlobalSection } from './global-section.ts';
import { writeImportSection } from './import-section.ts';
import { writeMemorySection } from './memory-section.ts';
import { importsOf, type WasmModule } from './module.ts';
import { writeTableSection } from './table-section.ts';

const PREAMBLE = new Uint8Array([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);

/** Writes a module, whose indices are taken as they are. */
export function encodeModule(module: WasmModule): Uint8Array {
  const writer = new ByteWriter(64 * 1024);
  const scratch = new ByteWriter(64 * 1024);
  const section = (id: number, present: boolean, write: (body: ByteWriter) => void) => {
    if (!present) return;
    scratch.clear();
    write(scratch);
    writer.byte(id);
    writer.sized(scratch);
  };
  writer.raw(PREAMBLE);
  const { types, imports, functions, tables, memories, globals, exports, start } = module;
  const { elements, dataCount, bodies, data, customs } = module;
  section(1, types.length > 0, (body) => writeTypeSection(body, types));
  section(2, imports.length > 0, (body) => writeImportSection(body, imports));
  section(3, functions.length > 0, (body) => writeFunctionSection(body, functions));
  section(4, tables.length > 0, (body) => writeTableSection(body, tables));
  section(5, memories.length > 0, (body) => writeMemorySection(body, memories));
  section(6, globals.length > 0, (body) => writeGlobalSection(body, globals));
  section(7, exports.length > 0, (body) => writeExportSection(body, exports));
  section(8, start !== null, (body) => body.u32(start!));
  section(9, elements.length > 0, (body) => writeElementSection(body, elements));
  section(12, dataCount !== null, (body) => body.u32(dataCount!));
  const firstFunction = importsOf(module, 'function').length;
  section(0, hasBranchHints(bodies), (body) =>
    writeBranchHintSection(body, { bodies, firstFunction }),
  );
  section(10, bodies.length > 0, (body) => writeCodeSection(body, bodies));
  section(11, data.length > 0, (body) => writeDataSection(body, data));
  for (const custom of customs) section(0, true, (body) => writeCustomSection(body, custom));
  return writer.written;
}
