import { expect } from 'chai';

import { OutOfFuel, trapOf } from '../../metering/metering.ts';
import { wasmOf } from './wat.ts';

const PREPARED = `(module (memory 1) (table $t 2 funcref) (elem (i32.const 0) $wrong)
  (data $d "abc") (elem $e func $wrong) (type $nothing (func))
  (func $wrong (result i32) (i32.const 1))
  (func $deep (export "deep") (call $deep))
  (func (export "f") BODY))`;

const traps: readonly (readonly [body: string, trap: string])[] = [
  ['(unreachable)', 'UNREACHABLE'],
  ['(drop (i32.load (i32.const 65533)))', 'MEMORY_OUT_OF_BOUNDS'],
  ['(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2))', 'MEMORY_OUT_OF_BOUNDS'],
  ['(memory.init $d (i32.const 0) (i32.const 0) (i32.const 4))', 'MEMORY_OUT_OF_BOUNDS'],
  ['(drop (table.get $t (i32.const 2)))', 'TABLE_OUT_OF_BOUNDS'],
  ['(table.init $e (i32.const 0) (i32.const 0) (i32.const 2))', 'TABLE_OUT_OF_BOUNDS'],
  ['(call_indirect (type $nothing) (i32.const 2))', 'TABLE_OUT_OF_BOUNDS'],
  ['(call_indirect (type $nothing) (i32.const 0))', 'BAD_SIGNATURE'],
  ['(call_indirect (type $nothing) (i32.const 1))', 'BAD_SIGNATURE'],
  ['(drop (i32.div_u (i32.const 1) (i32.const 0)))', 'INTEGER_DIVISION_BY_ZERO'],
  ['(drop (i64.rem_s (i64.const 1) (i64.const 0)))', 'INTEGER_DIVISION_BY_ZERO'],
  ['(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))', 'INTEGER_OVERFLOW'],
  ['(drop (i32.trunc_f32_s (f32.const nan)))', 'BAD_CONVERSION_TO_INTEGER'],
  ['(call $deep)', 'STACK_OVERFLOW'],
];

function errorOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return expect.fail('nothing was thrown');
}

describe('naming a trap', () => {
  for (const [body, trap] of traps) {
    it(`tells the client why the guest ended: ${body} is ${trap}`, () => {
      const module = new WebAssembly.Module(wasmOf(PREPARED.replace('BODY', body)));
      const { exports } = new WebAssembly.Instance(module);
      expect(trapOf(errorOf(() => (exports['f'] as Function)()))).to.equal(trap);
    });
  }

  for (const [what, wat, trap] of [
    ['data', '(module (memory 1) (data (i32.const 65535) "ab"))', 'MEMORY_OUT_OF_BOUNDS'],
    [
      'elements',
      '(module (table 1 funcref) (func $f) (elem (i32.const 1) $f))',
      'TABLE_OUT_OF_BOUNDS',
    ],
  ] as const) {
    it(`names the trap of an instantiation: ${what}`, () => {
      const module = new WebAssembly.Module(wasmOf(wat));
      expect(trapOf(errorOf(() => new WebAssembly.Instance(module)))).to.equal(trap);
    });
  }

  it('does not blame the guest for what is no trap', () => {
    const impossible = errorOf(() => new WebAssembly.Memory({ initial: 65_537 }));
    for (const error of [impossible, new OutOfFuel(), new Error('unreachable'), 'unreachable']) {
      expect(trapOf(error)).to.equal(null);
    }
  });
});
