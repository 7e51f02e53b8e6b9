// The public face of metering: Wasm in, metered Wasm out, and the host's side of the counting. Nothing
// outside of this folder imports any other file of it.

export { errorOfCompilation, readModule, validateModule } from './read-module.ts';
export {
  GAP_JUNCTION_MODULE,
  HOST_INTERFACE,
  WASI_MODULE,
  whyImportRefused,
} from './host-interface.ts';
export type {
  Entry,
  ExportReport,
  ExternalKind,
  ExternalType,
  ImportReport,
  ModuleReport,
} from './module-report.ts';
export { WasmError } from './wasm/error.ts';
export { MAX_MODULE_BYTES } from './wasm/limits.ts';

export { MemoryAboveCap, meterModule, type MeterOptions } from './fuel/assembly.ts';
export { IMPORTS, RESERVED_EXPORT_PREFIX, type MeteredModule } from './fuel/metered-module.ts';
export {
  FuelMeter,
  HostFault,
  MAX_BUDGET_FUEL,
  OutOfFuel,
  REFILL_FUEL,
  Stopped,
  type FuelMeterOptions,
  type MeterEnd,
} from './fuel/meter.ts';
export { trapOf, type TrapName } from './trap.ts';

export { GJ_0_DIGEST_HEX, GJ_0_DOCUMENT, GJ_0_PROFILE } from './fuel/profile.ts';
export { countFuel, type CountAnswer, type CountRequest } from './fuel/count.ts';
