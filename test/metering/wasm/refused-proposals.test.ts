import { expect } from 'chai';

import { readModule, WasmError } from '../../../metering/metering.ts';
import { wasmOf } from '../wat.ts';

const PREAMBLE = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/** A module with one function () -> () of these operators, its end left out, and one page of memory. */
function code(...operators: readonly number[]): Uint8Array {
  const body = [0, ...operators, 0x0b];
  const sections = [1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 5, 3, 1, 0, 1];
  return new Uint8Array([...PREAMBLE, ...sections, 10, body.length + 2, 1, body.length, ...body]);
}

function raw(...sections: readonly number[]): Uint8Array {
  return new Uint8Array([...PREAMBLE, ...sections]);
}

const refused: readonly (readonly [proposal: string, what: string, wasm: Uint8Array])[] = [
  ['typed function references', 'call_ref', code(0x14, 0)],
  ['typed function references', 'return_call_ref', code(0x15, 0)],
  ['typed function references', 'ref.as_non_null', code(0xd0, 0x70, 0xd4, 0x1a)],
  ['typed function references', 'br_on_null', code(0xd5, 0)],
  ['typed function references', 'a reference type', raw(1, 6, 1, 0x60, 1, 0x64, 0, 0)],
  ['typed function references', 'a block of it', code(0x02, 0x63, 0x70, 0x0b)],
  [
    'typed function references',
    'a table with an initial value',
    raw(4, 9, 1, 0x40, 0, 0x70, 0, 1, 0xd0, 0x70, 0x0b),
  ],
  ['exceptions', 'a tag section', wasmOf('(module (tag))')],
  ['exceptions', 'an imported tag', wasmOf('(module (import "" "" (tag)))')],
  ['exceptions', 'try', code(0x06, 0x40, 0x0b)],
  ['exceptions', 'throw', code(0x08, 0)],
  ['exceptions', 'try_table', code(0x1f, 0x40, 0, 0x0b)],
  ['exceptions', 'exnref', raw(1, 5, 1, 0x60, 1, 0x69, 0)],
  ['GC', 'a struct', raw(1, 3, 1, 0x5f, 0)],
  ['GC', 'an array', raw(1, 4, 1, 0x5e, 0x7f, 0)],
  ['GC', 'a recursive group', raw(1, 6, 1, 0x4e, 1, 0x60, 0, 0)],
  ['GC', 'struct.new', code(0xfb, 0, 0)],
  ['GC', 'ref.eq', code(0xd3)],
  ['GC', 'anyref', raw(1, 5, 1, 0x60, 1, 0x6e, 0)],
  ['GC', 'a constant of it', raw(6, 7, 1, 0x7f, 0, 0xfb, 0x1c, 0x0b, 0)],
  ['stack switching', 'a continuation type', raw(1, 3, 1, 0x5d, 0)],
  ['stack switching', 'suspend', code(0xe2, 0)],
  ['memory64', 'a memory', wasmOf('(module (memory i64 1))')],
  ['memory64', 'a table', raw(4, 4, 1, 0x70, 4, 0)],
  ['threads', 'a shared memory', wasmOf('(module (memory 1 1 shared))')],
  ['threads', 'an atomic operator', code(0xfe, 3, 0)],
  ['custom page sizes', 'a memory', raw(5, 4, 1, 8, 0, 0)],
  ['relaxed SIMD', 'an operator', code(0xfd, 0x80, 2)],
  ['half precision', 'an operator', code(0xfd, 0xa0, 2)],
  ['wide arithmetic', 'an operator', code(0xfc, 19)],
  ['multi-memory', 'a second memory', raw(5, 5, 2, 0, 0, 0, 0)],
  ['multi-memory', 'an imported and an own memory', raw(2, 6, 1, 0, 0, 2, 0, 0, 5, 3, 1, 0, 0)],
  ['multi-memory', 'an address in the second', code(0x41, 0, 0x28, 0x42, 1, 0, 0x1a)],
  ['multi-memory', 'the size of the second', code(0x3f, 1, 0x1a)],
  ['multi-memory', 'data for the second', raw(5, 3, 1, 0, 0, 11, 7, 1, 2, 1, 0x41, 0, 0x0b, 0)],
];

describe('a module that uses a proposal which is not accepted', () => {
  for (const [proposal, what, wasm] of refused) {
    it(`is told the name of the proposal: ${proposal}, ${what}`, () => {
      expect(() => readModule(wasm))
        .to.throw(WasmError)
        .with.property('reason')
        .that.includes(`the proposal "${proposal}"`);
    });
  }

  it('is accepted where the proposal is accepted: tail calls, extended constants', () => {
    const wasm = wasmOf(`(module (global i32 (i32.mul (i32.const 2) (i32.const 3)))
      (func $f (return_call $f)))`);
    expect(readModule(wasm).functionCount).to.equal(1);
  });
});
