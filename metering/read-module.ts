// What a module is, without running it: our own reading first, then V8's validation.

import { refuseReservedNames } from './fuel/assembly.ts';
import type {
  Entry,
  ExportReport,
  ExternalType,
  ImportReport,
  ModuleReport,
} from './module-report.ts';
import { decodeModule } from './wasm/decode.ts';
import { WasmError } from './wasm/error.ts';
import type { Export } from './wasm/export-section.ts';
import type { Import } from './wasm/import-section.ts';
import {
  functionTypes,
  globalTypes,
  memoryTypes,
  tableTypes,
  type WasmModule,
} from './wasm/module.ts';

/**
 * Reads a core module and says what it imports, exports and starts at.
 *
 * @throws {WasmError} with the byte offset, for bytes that are not accepted as a module. What is
 * accepted can still be invalid in the types of its operators: see validateModule.
 */
export function readModule(bytes: Uint8Array): ModuleReport {
  const module = decodeModule(bytes);
  refuseReservedNames(module);
  const exports = reportExports(module);
  const memory = memoryTypes(module)[0];
  return {
    imports: module.imports.map((one) => reportImport(module, one)),
    exports,
    memory: memory === undefined ? null : { minPages: memory.min, maxPages: memory.max },
    hasStart: module.start !== null,
    functionCount: module.functions.length,
    entry: entryOf(exports),
  };
}

/**
 * Reads a module and lets V8 validate it, on another thread. V8 never sees bytes that readModule
 * refuses.
 *
 * @throws {WasmError} with the byte offset, for a module that is not accepted or not valid
 */
export async function validateModule(bytes: Uint8Array): Promise<ModuleReport> {
  const report = readModule(bytes);
  try {
    await WebAssembly.compile(bytes);
  } catch (cause) {
    throw errorOfCompilation(cause);
  }
  return report;
}

/**
 * What V8 said when it refused to compile, with the offset in the bytes that it was given: it ends its
 * messages with that, "WebAssembly.compile(): Compiling ... failed: why @+42".
 */
export function errorOfCompilation(cause: unknown): WasmError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const found = /^(?:WebAssembly\.\w+\(\): )?(.*?)(?: @\+(\d+))?$/s.exec(message);
  return new WasmError(Number(found?.[2] ?? 0), found?.[1] ?? message, { cause });
}

function reportImport(
  module: WasmModule,
  { module: from, name, thing, offset }: Import,
): ImportReport {
  const type: ExternalType =
    thing.kind === 'function'
      ? { kind: 'function', type: module.types[thing.typeIndex]! }
      : thing.kind === 'table'
        ? { kind: 'table', ...thing.type }
        : thing.kind === 'global'
          ? { kind: 'global', ...thing.type }
          : thing;
  return { module: from, name, kind: thing.kind, type, offset };
}

function reportExports(module: WasmModule): ExportReport[] {
  const types: Record<Export['kind'], ExternalType[]> = {
    function: functionTypes(module).map((type) => ({ kind: 'function', type })),
    table: tableTypes(module).map((type) => ({ kind: 'table', ...type })),
    memory: memoryTypes(module).map((size) => ({ kind: 'memory', size })),
    global: globalTypes(module).map((type) => ({ kind: 'global', ...type })),
  };
  return module.exports.map(({ name, kind, index }) => ({
    name,
    kind,
    type: types[kind][index]!,
  }));
}

/** `_start` decides when both are there; either must be a function without parameters and results. */
function entryOf(exports: readonly ExportReport[]): Entry | null {
  const start = exports.find(({ name }) => name === '_start');
  if (start !== undefined) return isPlainFunction(start) ? 'START' : null;
  const run = exports.find(({ name }) => name === 'run');
  return run !== undefined && isPlainFunction(run) ? 'RUN' : null;
}

function isPlainFunction({ type }: ExportReport): boolean {
  return (
    type.kind === 'function' && type.type.parameters.length === 0 && type.type.results.length === 0
  );
}
