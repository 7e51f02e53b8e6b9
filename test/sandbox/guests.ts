// Guests and specs for the tests of the sandbox.
import wabt from 'wabt';
import type { GuestLimits, GuestSpec } from '../../sandbox/sandbox.ts';

/** A seed that fixed vectors hang on. */
export const SEED = Uint8Array.from({ length: 32 }, (_, index) => index);

export const LIMITS: GuestLimits = {
  fuel: 10_000_000_000n,
  epochs: 3000,
  memoryBytes: 256 * 1024 * 1024,
  outputBytes: 1024 * 1024,
  logBytes: 256 * 1024,
};

/** Wasm of a module in text. */
export async function wasm(text: string): Promise<Uint8Array> {
  const toolkit = await wabt();
  const module = toolkit.parseWat('guest.wat', text);
  try {
    return new Uint8Array(module.toBinary({}).buffer);
  } finally {
    module.destroy();
  }
}

/** A spec with the default limits; `limits` and `grants` may name only what differs. */
export function specOf(
  module: Uint8Array,
  changes: Partial<Omit<GuestSpec, 'limits' | 'grants'>> & {
    limits?: Partial<GuestLimits>;
    grants?: Partial<GuestSpec['grants']>;
  } = {},
): GuestSpec {
  return {
    module,
    entry: 'RUN',
    input: new Uint8Array(0),
    seed: SEED,
    ...changes,
    grants: { stdoutAsResult: false, debugLogs: false, ...changes.grants },
    limits: { ...LIMITS, ...changes.limits },
  };
}

/** Imports of the host calls, for the head of a module in text. */
export const HOST_CALLS = `
  (import "gap_junction" "input_size" (func $input_size (result i32)))
  (import "gap_junction" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "gap_junction" "output_write" (func $output_write (param i32 i32)))`;

/** Copies its input to its output. */
export const ECHO = `(module ${HOST_CALLS}
  (memory (export "memory") 1)
  (func (export "run") (local $n i32)
    (local.set $n (call $input_read (i32.const 0) (i32.const 0) (i32.const 65536)))
    (call $output_write (i32.const 0) (local.get $n))))`;

/** Never ends, and writes a counter to memory on its way. */
export const LOOP = `(module
  (memory (export "memory") 1)
  (func (export "run") (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (i32.store (i32.const 64) (local.get $i))
      (br $again))))`;

/** A call of a WASI function; numbers are i32, bigints i64. */
export interface WasiCall {
  readonly name: string;
  readonly args: readonly (number | bigint)[];
}

const ERRNOS_AT = 65_000;

/**
 * A guest that makes `calls` in order, and whose output is the errno of each, 4 bytes little-endian,
 * followed by the first `showBytes` bytes of its memory, which `data` was put into.
 */
export async function wasiGuest(
  calls: readonly WasiCall[],
  { data = new Uint8Array(0), showBytes = 0 }: { data?: Uint8Array; showBytes?: number } = {},
): Promise<Uint8Array> {
  const typeOf = (value: number | bigint) => (typeof value === 'bigint' ? 'i64' : 'i32');
  const imports = new Map(calls.map(({ name, args }) => [name, args.map(typeOf).join(' ')]));
  const escaped = [...data].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
  return await wasm(`(module ${HOST_CALLS}
    ${[...imports]
      .map(
        ([name, params]) =>
          `(import "wasi_snapshot_preview1" "${name}" (func $${name} (param ${params}) (result i32)))`,
      )
      .join('\n')}
    (memory (export "memory") 1)
    (data (i32.const 0) "${escaped}")
    (func (export "run")
      ${calls
        .map(
          ({ name, args }, index) =>
            `(i32.store (i32.const ${ERRNOS_AT + 4 * index}) (call $${name} ${args
              .map((value) => `(${typeOf(value)}.const ${value})`)
              .join(' ')}))`,
        )
        .join('\n')}
      (call $output_write (i32.const ${ERRNOS_AT}) (i32.const ${4 * calls.length}))
      (call $output_write (i32.const 0) (i32.const ${showBytes}))))`);
}

/** The errnos and the memory in the output of a {@link wasiGuest}. */
export function readWasiOutput(
  output: Uint8Array,
  calls: number,
): { errnos: number[]; memory: Uint8Array } {
  const view = new DataView(output.buffer, output.byteOffset, output.byteLength);
  return {
    errnos: Array.from({ length: calls }, (_, index) => view.getUint32(4 * index, true)),
    memory: output.subarray(4 * calls),
  };
}

/** Little-endian 32-bit words as bytes. */
export function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
