import { expect } from 'chai';

import { countFuel, type CountRequest, WasmError } from '../../../metering/metering.ts';
import { wasmOf } from '../wat.ts';

function count(wat: string, request: Partial<CountRequest> = {}) {
  return countFuel({
    wasm: wasmOf(wat),
    export: 'f',
    args: [],
    budgetFuel: 1_000_000n,
    ...request,
  });
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it should have failed'),
    (error: unknown) => error,
  );
}

describe('counting one call', () => {
  const same = (type: string) =>
    `(module (func (export "f") (param ${type}) (result ${type}) (local.get 0)))`;
  const values: readonly (readonly [type: string, given: string | number, result: string])[] = [
    ['i32', 7, '7'],
    ['i32', '-1', '-1'],
    ['i32', '4294967295', '-1'],
    ['i64', '-9223372036854775808', '-9223372036854775808'],
    ['i64', '18446744073709551615', '-1'],
    ['f32', '1.5', '0x3fc00000'],
    ['f32', '0x80000000', '0x80000000'],
    ['f64', '-0', '0x8000000000000000'],
    ['f64', '0x7ff0000000000000', '0x7ff0000000000000'],
    ['f64', 0.1, '0x3fb999999999999a'],
  ];
  for (const [type, given, result] of values) {
    it(`loses nothing of a value on its way: ${type} ${given}`, async () => {
      expect((await count(same(type), { args: [given] })).result).to.deep.equal([result]);
    });
  }

  for (const [type, given] of [
    ['i32', '4294967296'],
    ['i32', '1.5'],
    ['i32', '0x10'],
    ['i64', '18446744073709551616'],
    ['f32', '0x3fc0'],
    ['f64', ''],
    ['f64', 'NaN'],
    ['externref', '1'],
  ] as const) {
    it(`refuses what is no ${type}: '${given}'`, async () => {
      expect(await failure(count(same(type), { args: [given] }))).to.be.instanceOf(RangeError);
    });
  }

  it('answers all results of a function that has several', async () => {
    const wat = `(module (func (export "f") (result i32 f32) (i32.const 1) (f32.const 2)))`;
    expect((await count(wat)).result).to.deep.equal(['1', '0x40000000']);
  });

  it('tells the fuel of the start function apart from that of the call', async () => {
    const wat = `(module (func $s (drop (i32.const 1))) (start $s) (func (export "f")))`;
    const answer = await count(wat);
    expect([answer.consumedInstantiate, answer.fuel]).to.deep.equal(['2', '3']);
    expect((await count(wat, { export: null })).fuel).to.equal('2');
  });

  it('does not call a function whose instantiation ended', async () => {
    const wat = `(module (memory (export "memory") 1) (func $s unreachable) (start $s)
      (func (export "f") (result i32) (i32.const 1)))`;
    expect(await count(wat)).to.deep.equal({
      result: null,
      trap: 'UNREACHABLE',
      consumed: '1',
      consumedInstantiate: '1',
      fuel: '1',
      memorySha256: null,
    });
  });

  it('fails, and does not answer a number, where nothing can be counted', async () => {
    expect(await failure(count('(module)'))).to.match(/exports no function "f"/);
    expect(await failure(count(same('i32')))).to.match(/0 arguments are given for 1 parameters/);
    expect(await failure(count('(module (import "a" "b" (func)) (func (export "f")))'))).to.match(
      /Import #0/,
    );
    const wasm = new Uint8Array([0, 1, 2]);
    expect(await failure(count('(module)', { wasm }))).to.be.instanceOf(WasmError);
  });
});
