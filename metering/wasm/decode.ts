// Bytes to a module: one loop over the sections in their order, then one over the operators of every
// body, since those may name what comes in later sections.

import { ByteReader } from './byte-reader.ts';
import { readCodeSection } from './code-section.ts';
import { readCustomSection } from './custom-section.ts';
import { readDataSection } from './data-section.ts';
import { declaredFunctions } from './declared-functions.ts';
import { readElementSection } from './element-section.ts';
import { WasmError } from './error.ts';
import { readExportSection } from './export-section.ts';
import { readFunctionSection } from './function-section.ts';
import { type FunctionType, readTypeSection } from './function-type.ts';
import { readGlobalSection } from './global-section.ts';
import { readImportSection } from './import-section.ts';
import {
  MAX_FUNCTIONS,
  MAX_GLOBALS,
  MAX_MEMORIES,
  MAX_MODULE_BYTES,
  MAX_SEGMENTS,
  MAX_TABLE_ELEMENTS,
  MAX_TABLES,
} from './limits.ts';
import { readMemorySection, refuseSecondMemory } from './memory-section.ts';
import { EMPTY_MODULE, functionTypes, indexSpaces, tableTypes, type WasmModule } from './module.ts';
import { Opcode } from './opcode.ts';
import { OperatorReader } from './operator-reader.ts';
import { PassedValues } from './passed-values.ts';
import { readTableSection } from './table-section.ts';

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const CORE_VERSION = [0x01, 0x00, 0x00, 0x00];
const COMPONENT_LAYER = [0x01, 0x00];

const CUSTOM = 0;
const TAG = 13;
/** Section ids in the order in which sections stand in a file; tags would stand after memories. */
const ORDER = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11];

type Draft = { -readonly [Part in keyof WasmModule]: WasmModule[Part] };

/**
 * Reads a core module of at most MAX_MODULE_BYTES. The module keeps views of `bytes`, which must not be
 * changed while it is in use.
 *
 * @throws {WasmError} with the byte offset, for anything that is not accepted. What is accepted can
 * still be invalid in the types of its operators, which V8 finds.
 */
export function decodeModule(bytes: Uint8Array): WasmModule {
  if (bytes.length > MAX_MODULE_BYTES) {
    throw new WasmError(
      MAX_MODULE_BYTES,
      `a module of ${bytes.length} bytes is longer than ${MAX_MODULE_BYTES}`,
    );
  }
  const reader = new ByteReader(bytes);
  readPreamble(reader);
  const module: Draft = { ...EMPTY_MODULE };
  let position = -1;
  while (!reader.atEnd) {
    const { offset } = reader;
    const id = reader.byte();
    const section = reader.part(reader.u32());
    if (id === CUSTOM) {
      const custom = readCustomSection(section);
      // The specification gives a name section one place; a file full of them keeps its first.
      if (custom !== null && module.customs.length === 0) module.customs = [custom];
      continue;
    }
    const place = ORDER.indexOf(id);
    if (place < 0) refuseSection(id, offset);
    if (place <= position) {
      throw new WasmError(offset, `section ${id} comes twice or after one that it must precede`);
    }
    position = place;
    readSection(id, section, module);
    section.expectEnd(`section ${id}`);
  }
  expectWhole(module, reader.offset);
  checkBodies(module);
  return module;
}

function readPreamble(reader: ByteReader): void {
  for (const [index, expected] of MAGIC.entries()) {
    if (reader.byte() !== expected) {
      throw new WasmError(index, 'this is no WebAssembly: it does not begin with \\0asm');
    }
  }
  const version = [...reader.take(4)];
  if (version.every((byte, index) => byte === CORE_VERSION[index])) return;
  if (version[2] === COMPONENT_LAYER[0] && version[3] === COMPONENT_LAYER[1]) {
    throw new WasmError(
      4,
      'this is a component, and components are not run yet: use a core module',
    );
  }
  const hex = version.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new WasmError(4, `the version of WebAssembly is ${hex} where 01 00 00 00 is run`);
}

function refuseSection(id: number, offset: number): never {
  throw new WasmError(
    offset,
    id === TAG
      ? 'a tag section, of the proposal "exceptions", is not accepted'
      : `${id} is the id of no section`,
  );
}

function readSection(id: number, section: ByteReader, module: Draft): void {
  const { offset } = section;
  switch (id) {
    case 1:
      module.types = readTypeSection(section);
      break;
    case 2:
      module.imports = readImportSection(section, module.types.length);
      expectCounts(module, offset);
      break;
    case 3:
      module.functions = readFunctionSection(section, module.types.length);
      expectCounts(module, offset);
      break;
    case 4:
      module.tables = readTableSection(section);
      expectCounts(module, offset);
      break;
    case 5:
      module.memories = readMemorySection(section);
      expectCounts(module, offset);
      break;
    case 6:
      module.globals = readGlobalSection(section, indexSpaces(module));
      expectCounts(module, offset);
      break;
    case 7:
      module.exports = readExportSection(section, indexSpaces(module));
      break;
    case 8:
      module.start = readStart(section, functionTypes(module));
      break;
    case 9:
      module.elements = readElementSection(section, indexSpaces(module));
      break;
    case 12:
      module.dataCount = readDataCount(section);
      break;
    case 10:
      module.bodies = readCodeSection(
        section,
        [...module.functions].map((typeIndex) => module.types[typeIndex]!),
      );
      break;
    case 11:
      module.data = readDataSection(section, indexSpaces(module));
      if (module.dataCount !== null && module.dataCount !== module.data.length) {
        throw new WasmError(
          offset,
          `${module.data.length} data segments stand where ${module.dataCount} were announced`,
        );
      }
      break;
  }
}

/** Imported and own things count together. */
function expectCounts(module: WasmModule, offset: number): void {
  const { functions, tables, memories, globals } = indexSpaces(module);
  if (memories > MAX_MEMORIES) refuseSecondMemory(offset);
  const elements = tableTypes(module).reduce((sum, { size }) => sum + size.min, 0);
  for (const [what, count, bound] of [
    ['functions', functions, MAX_FUNCTIONS],
    ['tables', tables, MAX_TABLES],
    ['globals', globals, MAX_GLOBALS],
    ['elements of tables', elements, MAX_TABLE_ELEMENTS],
  ] as const) {
    if (count > bound) {
      throw new WasmError(offset, `${count} ${what}, imports included, are more than ${bound}`);
    }
  }
}

/** Its type is checked here, as V8 never sees the start section of a metered module. */
function readStart(section: ByteReader, types: readonly FunctionType[]): number {
  const { offset } = section;
  const index = section.u32();
  const type = types[index];
  if (type === undefined) {
    throw new WasmError(offset, `function ${index} is not there: ${types.length} are`);
  }
  if (type.parameters.length > 0 || type.results.length > 0) {
    throw new WasmError(offset, 'the start function must have no parameters and no results');
  }
  return index;
}

function readDataCount(section: ByteReader): number {
  const { offset } = section;
  const count = section.u32();
  if (count > MAX_SEGMENTS) {
    throw new WasmError(offset, `${count} data segments are more than ${MAX_SEGMENTS}`);
  }
  return count;
}

/** Throws when a section is missing that an earlier one announced. */
function expectWhole(module: WasmModule, offset: number): void {
  if (module.bodies.length !== module.functions.length) {
    throw new WasmError(offset, `the bodies of ${module.functions.length} functions are missing`);
  }
  if (module.dataCount !== null && module.dataCount !== module.data.length) {
    throw new WasmError(offset, `${module.dataCount} announced data segments are missing`);
  }
}

function checkBodies(module: WasmModule): void {
  const first = module.bodies[0];
  if (first === undefined) return;
  const operators = new OperatorReader(first.source, indexSpaces(module));
  const declared = declaredFunctions(module);
  const passed = new PassedValues(module);
  for (const [position, body] of module.bodies.entries()) {
    operators.enter(body);
    passed.enter(module.types[module.functions[position]!]!);
    while (operators.next()) {
      passed.count(operators);
      if (operators.opcode === Opcode.refFunc && declared[operators.index] === 0) {
        throw new WasmError(operators.start, `function ${operators.index} is not declared`);
      }
    }
  }
}
