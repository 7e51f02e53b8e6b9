import type { ModuleReport } from '../../metering/metering.ts';

/** Wasm's page. */
export const PAGE_BYTES = 65_536n;

/** The bound that metering sets: a program of a few hundred thousand lines, and a second of work to check. */
export const MAX_MODULE_BYTES = 16 * 1024 * 1024;

/** What of a registered module jobs need to know. */
export interface Module {
  /** SHA-256 of its bytes. */
  readonly digest: Uint8Array;
  readonly sizeBytes: bigint;
  /** Exports `_start`, or `run`, as a function without parameters and results. */
  readonly exportsStart: boolean;
  readonly exportsRun: boolean;
  readonly minMemoryPages: number;
}

export interface RegisteredModule extends Module {
  readonly registeredMs: number;
}

/** What a module that was checked offers to a job. */
export function moduleFacts(
  report: Pick<ModuleReport, 'exports' | 'memory'>,
): Pick<Module, 'exportsStart' | 'exportsRun' | 'minMemoryPages'> {
  const isEntry = (name: string) =>
    report.exports.some(
      (one) =>
        one.name === name &&
        one.type.kind === 'function' &&
        one.type.type.parameters.length === 0 &&
        one.type.type.results.length === 0,
    );
  return {
    exportsStart: isEntry('_start'),
    exportsRun: isEntry('run'),
    minMemoryPages: report.memory?.minPages ?? 0,
  };
}
