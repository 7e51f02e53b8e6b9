// From a client's bytes to a compiled, metered module: read, checked against what a guest may import,
// metered, compiled. Happens inside the sandbox, so that hostile bytes meet no parser outside of it that
// runs beside a key.
import {
  MemoryAboveCap,
  WasmError,
  errorOfCompilation,
  meterModule,
  readModule,
  whyImportRefused,
} from '../../metering/metering.ts';
import type { MeteredModule, ModuleReport } from '../../metering/metering.ts';
import { isSignature } from '../capabilities.ts';
import type { GuestEntry } from './guest-run.ts';

export interface PreparedModule {
  readonly module: WebAssembly.Module;
  readonly metered: MeteredModule;
  readonly report: ModuleReport;
}

/** Why a module is never run. */
export class ModuleRefused extends Error {
  override readonly name = 'ModuleRefused';
}

/** The metered form of a module that V8 accepts does not compile: a mistake of ours. */
export class MeteringFailed extends Error {
  override readonly name = 'MeteringFailed';
}

/** What C, Rust and Go export to start their libraries in a module that is no command. */
export const INITIALIZE = '_initialize';

const ENTRY_NAMES: Record<GuestEntry, string> = { START: '_start', RUN: 'run' };

/**
 * Reads, checks, meters and compiles; throws ModuleRefused with the reason.
 * @param maxMemoryPages largest memory that the module can grow to, in pages of 64 KiB
 */
export function prepareModule(bytes: Uint8Array, maxMemoryPages: number): PreparedModule {
  let report: ModuleReport;
  let metered: MeteredModule;
  try {
    report = readModule(bytes);
    for (const wanted of report.imports) {
      const reason = whyImportRefused(wanted);
      if (reason !== null) throw new ModuleRefused(reason);
    }
    metered = meterModule(bytes, { maxMemoryPages });
  } catch (error) {
    if (error instanceof WasmError || error instanceof MemoryAboveCap)
      throw new ModuleRefused(error.message, { cause: error });
    throw error;
  }
  return { module: compile(metered.bytes, bytes), metered, report };
}

/** Throws ModuleRefused unless the module exports the function that `entry` names, `() -> ()`. */
export function checkEntry(report: ModuleReport, entry: GuestEntry): void {
  const name = ENTRY_NAMES[entry];
  const found = report.exports.find((exported) => exported.name === name);
  if (found === undefined) {
    throw new ModuleRefused(`the module exports no ${name}, which entry ${entry} starts at`);
  }
  if (found.type.kind !== 'function' || !isSignature(found.type.type, [], [])) {
    throw new ModuleRefused(`the module's export ${name} is no function of type () -> ()`);
  }
  // Called before `run`, where there is one.
  const initialize = report.exports.find((exported) => exported.name === INITIALIZE);
  if (
    entry === 'RUN' &&
    initialize !== undefined &&
    (initialize.type.kind !== 'function' || !isSignature(initialize.type.type, [], []))
  ) {
    throw new ModuleRefused(`the module's export ${INITIALIZE} is no function of type () -> ()`);
  }
}

export function entryName(entry: GuestEntry): string {
  return ENTRY_NAMES[entry];
}

function compile(metered: Uint8Array, original: Uint8Array): WebAssembly.Module {
  try {
    return new WebAssembly.Module(metered);
  } catch (error) {
    if (!(error instanceof WebAssembly.CompileError)) throw error;
    // V8 tells offsets of what it was given; the client wants those of what it sent.
    try {
      void new WebAssembly.Module(original);
    } catch (cause) {
      throw new ModuleRefused(errorOfCompilation(cause).message, { cause });
    }
    throw new MeteringFailed(error.message, { cause: error });
  }
}
