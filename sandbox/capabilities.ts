// Everything that a guest can link against, in one table: what is not here does not exist for it.
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
