// Everything that a guest can link against, in one table: what is not here does not exist for it.
import type { ImportReport } from '../metering/metering.ts';
import { argumentFunctions } from './wasi/arguments.ts';
import { clockFunctions } from './wasi/clocks.ts';
import { deniedFunctions } from './wasi/denied.ts';
import { gapJunctionFunctions } from './gap-junction.ts';
import type { HostFunction } from './host-function.ts';
import { pollFunctions } from './wasi/polling.ts';
import { processFunctions } from './wasi/process.ts';
import { randomFunctions } from './wasi/random.ts';
import { streamFunctions } from './wasi/streams.ts';

export const WASI_MODULE = 'wasi_snapshot_preview1';
export const GAP_JUNCTION_MODULE = 'gap_junction';

/** Module name, function name, function. Maps, so that no name reaches a prototype. */
export const CAPABILITIES: ReadonlyMap<string, ReadonlyMap<string, HostFunction>> = new Map([
  [
    WASI_MODULE,
    new Map(
      Object.entries({
        ...argumentFunctions,
        ...clockFunctions,
        ...streamFunctions,
        ...pollFunctions,
        ...processFunctions,
        ...randomFunctions,
        ...deniedFunctions,
      }),
    ),
  ],
  [GAP_JUNCTION_MODULE, new Map(Object.entries(gapJunctionFunctions))],
]);

/** Why a module with this import is never run, or null when the import can be given. */
export function whyImportRefused({ module, name, kind, type }: ImportReport): string | null {
  const full = `${module}.${name}`;
  const functions = CAPABILITIES.get(module);
  if (functions === undefined) {
    const known = [...CAPABILITIES.keys()].join(' and ');
    return `the module imports ${full}: only ${known} exist here`;
  }
  if (type.kind !== 'function') {
    return `the module imports the ${kind} ${full}: only functions can be imported here`;
  }
  const host = functions.get(name);
  if (host === undefined) return `the module imports ${full}, which does not exist`;
  if (isSignature(type.type, host.params, host.results)) return null;
  const wanted = `(${host.params.join(', ')}) -> (${host.results.join(', ')})`;
  return `the module imports ${full} with another type than ${wanted}`;
}

export function isSignature(
  type: { readonly parameters: readonly string[]; readonly results: readonly string[] },
  parameters: readonly string[],
  results: readonly string[],
): boolean {
  return type.parameters.join() === parameters.join() && type.results.join() === results.join();
}
