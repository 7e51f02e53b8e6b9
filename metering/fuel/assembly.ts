// Puts a metered module together: decode, add what counting needs behind the guest's own, rewrite each
// body by its plan, encode. Globals and locals are added last in their index spaces, so that theirs are
// the only new numbers; imported functions must come before the module's own, so that those move up.

import { decodeModule } from '../wasm/decode.ts';
import { encodeModule } from '../wasm/encode.ts';
import { WasmError } from '../wasm/error.ts';
import type { Export } from '../wasm/export-section.ts';
import type { FunctionType } from '../wasm/function-type.ts';
import type { Global } from '../wasm/global-section.ts';
import type { Import } from '../wasm/import-section.ts';
import type { Limits } from '../wasm/size-limits.ts';
import {
  MAX_MEMORY_PAGES,
  MAX_METERED_BODY_BYTES,
  MAX_METERED_BYTES,
  MAX_TABLE_ELEMENTS,
} from '../wasm/limits.ts';
import {
  importsOf,
  indexSpaces,
  memoryTypes,
  tableTypes,
  type WasmModule,
} from '../wasm/module.ts';
import { renumberFunctions } from '../wasm/renumber.ts';
import { Analysis } from './analysis.ts';
import { EXPORTS, IMPORTS, type MeteredModule, RESERVED_EXPORT_PREFIX } from './metered-module.ts';
import { Plan } from './plan.ts';
import { type Additions, Rewriting } from './rewriting.ts';

/** Thrown for a module whose memory starts larger than the cap of the job allows. */
export class MemoryAboveCap extends Error {
  override readonly name = 'MemoryAboveCap';
  readonly minPages: number;
  readonly maxMemoryPages: number;

  constructor({ minPages, maxMemoryPages }: { minPages: number; maxMemoryPages: number }) {
    super(
      `The module starts with ${minPages} pages of memory where ${maxMemoryPages} are allowed: ` +
        'raise the memory limit of the job',
    );
    this.minPages = minPages;
    this.maxMemoryPages = maxMemoryPages;
  }
}

export interface MeterOptions {
  /** Pages of 64 KiB that the guest's memory may reach, 0 to 65,536. */
  readonly maxMemoryPages: number;
}

/**
 * Rewrites a core module so that it counts its fuel by the profile gj-0. What comes out must still be
 * compiled by V8, which finds what is invalid in the types of the guest's operators.
 *
 * @throws {WasmError} for a module that is not accepted, with the byte offset
 * @throws {MemoryAboveCap} when the memory starts above `maxMemoryPages`
 */
export function meterModule(bytes: Uint8Array, { maxMemoryPages }: MeterOptions): MeteredModule {
  if (
    !Number.isInteger(maxMemoryPages) ||
    maxMemoryPages < 0 ||
    maxMemoryPages > MAX_MEMORY_PAGES
  ) {
    throw new RangeError(`${maxMemoryPages} pages are not between 0 and ${MAX_MEMORY_PAGES}`);
  }
  const guest = decodeModule(bytes);
  refuseReservedNames(guest);
  const capped = {
    ...guest,
    memories: guest.memories.map((size) => capMemory(size, maxMemoryPages)),
    tables: guest.tables.map(({ element, size }) => ({
      element,
      size: { min: size.min, max: Math.min(size.max ?? MAX_TABLE_ELEMENTS, MAX_TABLE_ELEMENTS) },
    })),
  };
  const hasMemory = memoryTypes(guest).length > 0;
  return {
    bytes: encodeModule(assemble(guest, capped)),
    exports: {
      counter: EXPORTS.counter,
      grant: EXPORTS.grant,
      memory: hasMemory ? EXPORTS.memory : null,
      start: guest.start === null ? null : EXPORTS.start,
    },
  };
}

/** Throws when a guest imports or exports a name that metering uses itself. */
export function refuseReservedNames(module: WasmModule): void {
  const wanted = module.imports.find((one) => one.module === IMPORTS.module);
  if (wanted !== undefined) {
    throw new WasmError(
      wanted.offset,
      `"${IMPORTS.module}" is reserved: a module must not import from it`,
    );
  }
  const taken = module.exports.find(({ name }) => name.startsWith(RESERVED_EXPORT_PREFIX));
  if (taken !== undefined) {
    throw new WasmError(
      taken.offset,
      `"${taken.name}" is reserved: a module must not export such a name`,
    );
  }
}

function capMemory({ min, max }: Limits, maxMemoryPages: number): Limits {
  if (min > maxMemoryPages) throw new MemoryAboveCap({ minPages: min, maxMemoryPages });
  return { min, max: Math.min(max ?? MAX_MEMORY_PAGES, maxMemoryPages) };
}

function assemble(guest: WasmModule, capped: WasmModule): WasmModule {
  const { globals } = indexSpaces(guest);
  const importedFunctions = importsOf(guest, 'function').length;
  const refill: FunctionType = { parameters: ['i64'], results: [] };
  const growthFailed: FunctionType = { parameters: [], results: [] };
  const added = 2;
  const additions: Additions = {
    counterGlobal: globals,
    grantGlobal: globals + 1,
    refillFunction: importedFunctions,
    growthFailedFunction: importedFunctions + 1,
    renumberFunction: (index) => (index < importedFunctions ? index : index + added),
    maxMemoryPages: memoryTypes(capped)[0]?.max ?? MAX_MEMORY_PAGES,
    maxTableElements: tableTypes(capped).map(({ size }) => size.max ?? MAX_TABLE_ELEMENTS),
  };
  const moved = renumberFunctions(capped, additions.renumberFunction);
  const typeIndex = guest.types.length;
  return {
    ...moved,
    types: [...guest.types, refill, growthFailed],
    imports: [
      ...guest.imports,
      functionImport(IMPORTS.refill, typeIndex),
      functionImport(IMPORTS.growthFailed, typeIndex + 1),
    ],
    globals: [...moved.globals, zeroI64(), zeroI64()],
    exports: [...moved.exports, ...addedExports(moved, additions)],
    // Called by the host, once the counter is set.
    start: null,
    bodies: rewriteBodies(guest, additions),
    // Names say which function has which number, and every number has changed.
    customs: [],
  };
}

function rewriteBodies(guest: WasmModule, additions: Additions): WasmModule['bodies'] {
  const first = guest.bodies[0];
  if (first === undefined) return [];
  const plan = new Plan();
  const analysis = new Analysis(first.source, indexSpaces(guest), plan);
  const rewriting = new Rewriting(additions);
  let meteredBytes = 0;
  return guest.bodies.map((body) => {
    analysis.analyse(body);
    const rewritten = rewriting.rewrite(body, plan);
    meteredBytes += rewritten.end;
    if (rewritten.end > MAX_METERED_BODY_BYTES || meteredBytes > MAX_METERED_BYTES) {
      throw new WasmError(
        body.start,
        `metering makes the code too long: ${rewritten.end} bytes of this body, ` +
          `${meteredBytes} up to here`,
      );
    }
    return rewritten;
  });
}

function functionImport(name: string, typeIndex: number): Import {
  return { module: IMPORTS.module, name, thing: { kind: 'function', typeIndex }, offset: 0 };
}

function zeroI64(): Global {
  const source = new Uint8Array([0x42, 0x00, 0x0b]);
  return { type: { value: 'i64', mutable: true }, initial: { source, start: 0, end: 3 } };
}

function addedExports(moved: WasmModule, additions: Additions): Export[] {
  const exports: Export[] = [
    { name: EXPORTS.counter, kind: 'global', index: additions.counterGlobal, offset: 0 },
    { name: EXPORTS.grant, kind: 'global', index: additions.grantGlobal, offset: 0 },
  ];
  if (memoryTypes(moved).length > 0) {
    exports.push({ name: EXPORTS.memory, kind: 'memory', index: 0, offset: 0 });
  }
  if (moved.start !== null) {
    exports.push({ name: EXPORTS.start, kind: 'function', index: moved.start, offset: 0 });
  }
  return exports;
}
