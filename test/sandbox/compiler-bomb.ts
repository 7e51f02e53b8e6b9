import { EMPTY_TYPE, moduleOf, section, u32 } from '../metering/wasm/module-bytes.ts';

const LOCALS = 9_900;
const NESTED = 900;

/**
 * A small program that makes V8's compiler take all of the machine: called until it is optimized, each loop
 * header then has a phi for each of 9,900 locals. (func (local i32 x 9,900)), seven times: loops within loops, and in the innermost every local set.
 */
export function manyPhis(): Uint8Array {
  const copies = Array.from({ length: LOCALS - 1 }, (_, local) =>
    [0x20].concat(u32(local), 0x21, u32(local + 1)),
  ).flat();
  const opened = Array.from({ length: NESTED }, () => [0x03, 0x40]).flat();
  const closed = Array.from({ length: NESTED }, () => [0x20, 0, 0x0d, 0, 0x0b]).flat();
  const nests = Array.from({ length: 7 }, () => [opened, copies, closed]).flat(2);
  const many = [1, ...u32(LOCALS), 0x7f].concat(nests, [0x0b]);
  const run = [0, 0x03, 0x40, 0x10, 0, 0x0c, 0, 0x0b, 0x0b];
  return moduleOf(
    EMPTY_TYPE,
    section(3, [2, 0, 0]),
    section(7, [1, 3, ...Buffer.from('run'), 0, 1]),
    section(10, [2, ...u32(many.length)].concat(many, [run.length], run)),
  );
}
