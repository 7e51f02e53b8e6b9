// A metered guest with its meter, started, for tests.
import {
  FuelMeter,
  type FuelMeterOptions,
  meterModule,
  type MeteredModule,
} from '../../../metering/metering.ts';
import { wasmOf } from '../wat.ts';

export interface MeteredGuest {
  readonly meter: FuelMeter;
  readonly metered: MeteredModule;
  readonly exports: WebAssembly.Exports;
  /** Calls an exported function. */
  readonly call: (name: string, ...args: readonly unknown[]) => unknown;
}

interface GuestOptions extends Partial<FuelMeterOptions> {
  readonly maxMemoryPages?: number;
  /** Made with the meter, for host functions that charge. */
  readonly imports?: (meter: FuelMeter) => WebAssembly.Imports;
}

export const PLENTY_FUEL = 1_000_000_000_000n;

export function meteredGuest(
  wasm: Uint8Array | string,
  { budgetFuel = PLENTY_FUEL, onRefill, maxMemoryPages = 65_536, imports }: GuestOptions = {},
): MeteredGuest {
  const bytes = typeof wasm === 'string' ? wasmOf(wasm) : wasm;
  const metered = meterModule(bytes, { maxMemoryPages });
  const meter = new FuelMeter({ budgetFuel, ...(onRefill === undefined ? {} : { onRefill }) });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(metered.bytes), {
    ...imports?.(meter),
    ...meter.imports,
  });
  meter.attach(instance, metered);
  const { exports } = instance;
  const call = (name: string, ...args: readonly unknown[]): unknown =>
    (exports[name] as Function)(...args);
  return { meter, metered, exports, call };
}
