// What each operator costs: the schedule "wasmtime-48", which counts as Wasmtime 48 does. It is the one
// table of costs; the profile document says the same in words.

import { Opcode } from '../wasm/opcode.ts';

/** Operators that cost nothing: they only shape the code, or leave it. Every other one costs 1. */
const FREE: ReadonlySet<number> = new Set([
  Opcode.nop,
  Opcode.drop,
  Opcode.block,
  Opcode.loop,
  Opcode.unreachable,
  Opcode.return,
  Opcode.else,
  Opcode.end,
]);

/** Fuel for entering a function that the module defines, from wherever it is called. */
export const ENTRY_FUEL = 1;

/** Fuel for executing an operator once. */
export function operatorFuel(opcode: number): number {
  return FREE.has(opcode) ? 0 : 1;
}
