// Everything that a guest can link against, in one table. Names and types are those of the profile's host
// interface, which modules are checked against before they get here; a test holds the two together.
import { GAP_JUNCTION_MODULE, WASI_MODULE } from '../metering/metering.ts';
import { argumentFunctions } from './wasi/arguments.ts';
import { clockFunctions } from './wasi/clocks.ts';
import { deniedFunctions } from './wasi/denied.ts';
import { gapJunctionFunctions } from './gap-junction.ts';
import type { HostFunction } from './host-function.ts';
import { pollFunctions } from './wasi/polling.ts';
import { processFunctions } from './wasi/process.ts';
import { randomFunctions } from './wasi/random.ts';
import { streamFunctions } from './wasi/streams.ts';

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

export function isSignature(
  type: { readonly parameters: readonly string[]; readonly results: readonly string[] },
  parameters: readonly string[],
  results: readonly string[],
): boolean {
  return type.parameters.join() === parameters.join() && type.results.join() === results.join();
}
