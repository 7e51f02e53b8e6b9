// A core module as a value, and the index spaces that its imports and sections make together.

import type { FunctionBody } from './code-section.ts';
import type { CustomSection } from './custom-section.ts';
import type { DataSegment } from './data-section.ts';
import type { ElementSegment } from './element-section.ts';
import type { Export } from './export-section.ts';
import type { FunctionType } from './function-type.ts';
import type { Global, GlobalType } from './global-section.ts';
import type { Import, ImportedThing } from './import-section.ts';
import type { IndexSpaces } from './index-spaces.ts';
import type { Limits } from './size-limits.ts';
import { MAX_MEMORY_PAGES } from './limits.ts';
import type { TableType } from './table-section.ts';

export interface WasmModule {
  readonly types: readonly FunctionType[];
  readonly imports: readonly Import[];
  /** Type index of each function that the module defines. */
  readonly functions: Uint32Array;
  readonly tables: readonly TableType[];
  readonly memories: readonly Limits[];
  readonly globals: readonly Global[];
  readonly exports: readonly Export[];
  /** Index of the function that instantiation calls; null without one. */
  readonly start: number | null;
  readonly elements: readonly ElementSegment[];
  /** What the data count section says; null without one. */
  readonly dataCount: number | null;
  readonly bodies: readonly FunctionBody[];
  readonly data: readonly DataSegment[];
  readonly customs: readonly CustomSection[];
}

export const EMPTY_MODULE: WasmModule = {
  types: [],
  imports: [],
  functions: new Uint32Array(0),
  tables: [],
  memories: [],
  globals: [],
  exports: [],
  start: null,
  elements: [],
  dataCount: null,
  bodies: [],
  data: [],
  customs: [],
};

export const PAGE_BYTES = 65_536;

type Imported<Kind extends ImportedThing['kind']> = Extract<ImportedThing, { kind: Kind }>;

/** The imports of one kind, in order: they come first in its index space. */
export function importsOf<Kind extends ImportedThing['kind']>(
  module: WasmModule,
  kind: Kind,
): Imported<Kind>[] {
  return module.imports
    .map(({ thing }) => thing)
    .filter((thing): thing is Imported<Kind> => thing.kind === kind);
}

/** The type of every function, imported ones first. */
export function functionTypes(module: WasmModule): FunctionType[] {
  const imported = importsOf(module, 'function').map(({ typeIndex }) => typeIndex);
  return [...imported, ...module.functions].map((typeIndex) => module.types[typeIndex]!);
}

export function tableTypes(module: WasmModule): TableType[] {
  return [...importsOf(module, 'table').map(({ type }) => type), ...module.tables];
}

export function memoryTypes(module: WasmModule): Limits[] {
  return [...importsOf(module, 'memory').map(({ size }) => size), ...module.memories];
}

export function globalTypes(module: WasmModule): GlobalType[] {
  return [
    ...importsOf(module, 'global').map(({ type }) => type),
    ...module.globals.map(({ type }) => type),
  ];
}

export function indexSpaces(module: WasmModule): IndexSpaces {
  const memories = memoryTypes(module);
  const count = (kind: ImportedThing['kind']) => importsOf(module, kind).length;
  return {
    types: module.types.length,
    functions: count('function') + module.functions.length,
    tables: count('table') + module.tables.length,
    memories: memories.length,
    globals: count('global') + module.globals.length,
    elements: module.elements.length,
    data: module.dataCount ?? module.data.length,
    maxMemoryBytes: (memories[0]?.max ?? MAX_MEMORY_PAGES) * PAGE_BYTES,
  };
}
