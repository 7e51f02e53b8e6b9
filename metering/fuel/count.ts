// Counts the fuel of one call to an exported function, against the host functions with which the
// schedule's test vectors were made. The engine of `gap-junction fuel count`.

import { trapOf, type TrapName } from '../trap.ts';
import { decodeModule } from '../wasm/decode.ts';
import type { FunctionType } from '../wasm/function-type.ts';
import { MAX_MEMORY_PAGES } from '../wasm/limits.ts';
import { functionTypes } from '../wasm/module.ts';
import { meterModule } from './assembly.ts';
import { argumentFor, type ArgumentText, resultText } from './call-values.ts';
import type { MeteredModule } from './metered-module.ts';
import { FuelMeter, OutOfFuel } from './meter.ts';

export interface CountRequest {
  /** A core module in its binary form. */
  readonly wasm: Uint8Array;
  /** The exported function to call; null only instantiates. */
  readonly export: string | null;
  /** One for each parameter: see `argumentFor`. */
  readonly args: readonly ArgumentText[];
  readonly budgetFuel: bigint;
}

/** What a count answers, as `fuel count --json` prints it. */
export interface CountAnswer {
  /** Integers as signed decimals, floats as 0x and their bits; null when the call gave none. */
  readonly result: readonly string[] | null;
  readonly trap: TrapName | 'OUT_OF_FUEL' | 'HOST_ERROR' | null;
  /**
   * Fuel by the schedule wasmtime-48. The counter of gj-0 is what can be said of it: it differs where
   * that profile leaves the schedule, in instantiation, bulk lengths and what is kept at a trap.
   */
  readonly consumed: string;
  /** The part of `consumed` that instantiation took. */
  readonly consumedInstantiate: string;
  /** Fuel by the profile gj-0. */
  readonly fuel: string;
  /** First 16 hex digits of the SHA-256 of the exported `memory` without its trailing zero bytes. */
  readonly memorySha256: string | null;
}

/**
 * Meters a module and calls one of its exports. Imports are `env.nop`, `env.id` (answers its argument),
 * `env.fail` (throws), `env.g` = 5, `env.t` = 300 funcref, `env.mem` = 1 page; they cost nothing.
 *
 * @throws {WasmError} for a module that is not accepted, {RangeError} for arguments that do not fit the
 * function, whatever V8 throws for a module that it does not compile or link
 */
export async function countFuel(request: CountRequest): Promise<CountAnswer> {
  const metered = meterModule(request.wasm, { maxMemoryPages: MAX_MEMORY_PAGES });
  const callee = request.export === null ? null : exportedType(request.wasm, request.export);
  const args = callee === null ? [] : convertArguments(callee.parameters, request.args);
  const meter = new FuelMeter({ budgetFuel: request.budgetFuel });
  const module = await WebAssembly.compile(metered.bytes);

  const started = attempt(() => instantiate(module, metered, meter));
  const consumedInstantiate = meter.consumedFuel.toString();
  if (started.trap !== null) return answer({ meter, consumedInstantiate, trap: started.trap });

  const { exports } = started.value;
  const called =
    callee === null
      ? { trap: null, value: null }
      : attempt(() => results(callee, (exports[request.export!] as Function)(...args)));
  return answer({
    meter,
    consumedInstantiate,
    trap: called.trap,
    result: called.trap === null ? called.value : null,
    memorySha256: await hashMemory(exports['memory']),
  });
}

/** Thrown through the guest by `env.fail`. */
class HostError extends Error {
  override readonly name = 'HostError';
}

function answer({
  meter,
  consumedInstantiate,
  trap,
  result = null,
  memorySha256 = null,
}: Pick<CountAnswer, 'consumedInstantiate' | 'trap'> &
  Partial<Pick<CountAnswer, 'result' | 'memorySha256'>> & { meter: FuelMeter }): CountAnswer {
  const fuel = meter.consumedFuel.toString();
  return { result, trap, consumed: fuel, consumedInstantiate, fuel, memorySha256 };
}

function instantiate(
  module: WebAssembly.Module,
  metered: MeteredModule,
  meter: FuelMeter,
): WebAssembly.Instance {
  const instance = new WebAssembly.Instance(module, { env: vectorImports(), ...meter.imports });
  meter.attach(instance, metered);
  if (metered.exports.start !== null) (instance.exports[metered.exports.start] as Function)();
  return instance;
}

function vectorImports(): WebAssembly.ModuleImports {
  return {
    nop: () => undefined,
    id: (value: unknown) => value,
    fail: () => {
      throw new HostError('env.fail was called');
    },
    g: 5,
    t: new WebAssembly.Table({ element: 'anyfunc', initial: 300 }),
    mem: new WebAssembly.Memory({ initial: 1 }),
  };
}

type Attempt<Value> =
  | { readonly trap: null; readonly value: Value }
  | { readonly trap: NonNullable<CountAnswer['trap']> };

/** What `act` answers, or the trap that ended it. Throws what is neither. */
function attempt<Value>(act: () => Value): Attempt<Value> {
  try {
    return { trap: null, value: act() };
  } catch (error) {
    if (error instanceof OutOfFuel) return { trap: 'OUT_OF_FUEL' };
    const trap = trapOf(error);
    if (trap !== null) return { trap };
    if (error instanceof HostError) return { trap: 'HOST_ERROR' };
    throw error;
  }
}

function exportedType(wasm: Uint8Array, name: string): FunctionType {
  const module = decodeModule(wasm);
  const found = module.exports.find((one) => one.kind === 'function' && one.name === name);
  if (found === undefined) throw new RangeError(`The module exports no function "${name}"`);
  return functionTypes(module)[found.index]!;
}

function convertArguments(
  parameters: FunctionType['parameters'],
  args: readonly ArgumentText[],
): unknown[] {
  if (args.length !== parameters.length) {
    throw new RangeError(`${args.length} arguments are given for ${parameters.length} parameters`);
  }
  return parameters.map((type, index) => argumentFor(type, args[index]!));
}

function results({ results: types }: FunctionType, returned: unknown): string[] | null {
  if (types.length === 0) return null;
  // A function of several results answers an array of them.
  const values = types.length === 1 ? [returned] : [...(returned as unknown[])];
  return types.map((type, index) => resultText(type, values[index]));
}

async function hashMemory(memory: WebAssembly.ExportValue | undefined): Promise<string | null> {
  if (!(memory instanceof WebAssembly.Memory)) return null;
  const bytes = new Uint8Array(memory.buffer);
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === 0) length--;
  const digest = await crypto.subtle.digest('SHA-256', bytes.subarray(0, length));
  return new Uint8Array(digest).toHex().slice(0, 16);
}
