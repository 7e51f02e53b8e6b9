import { expect } from 'chai';

import { readModule, validateModule, WasmError } from '../../metering/metering.ts';
import { everything } from './samples.ts';
import { wasmOf } from './wat.ts';

describe('reading a module', () => {
  it('says what it imports, exports, and starts with', () => {
    const report = readModule(everything);
    expect(report.imports).to.deep.equal([
      {
        module: 'env',
        name: 'id',
        kind: 'function',
        type: { kind: 'function', type: { parameters: ['i32'], results: ['i32'] } },
        offset: 49,
      },
      {
        module: 'env',
        name: 'g',
        kind: 'global',
        type: { kind: 'global', value: 'i32', mutable: false },
        offset: 58,
      },
      {
        module: 'env',
        name: 't',
        kind: 'table',
        type: { kind: 'table', element: 'funcref', size: { min: 300, max: null } },
        offset: 67,
      },
    ]);
    expect(report.memory).to.deep.equal({ minPages: 1, maxPages: 3 });
    expect(report.hasStart).to.equal(true);
    expect(report.functionCount).to.equal(13);
    expect(report.exports.find(({ name }) => name === 'swap')).to.deep.equal({
      name: 'swap',
      kind: 'function',
      type: { kind: 'function', type: { parameters: ['i32', 'i64'], results: ['i64', 'i32'] } },
    });
    expect(report.exports.find(({ name }) => name === 'memory')).to.deep.equal({
      name: 'memory',
      kind: 'memory',
      type: { kind: 'memory', size: { min: 1, max: 3 } },
    });
  });

  const entries: readonly (readonly [wat: string, entry: 'START' | 'RUN' | null])[] = [
    ['(module (func (export "_start")))', 'START'],
    ['(module (func (export "run")))', 'RUN'],
    ['(module (func (export "_start") (export "run")))', 'START'],
    ['(module (func (export "_start") (param i32)) (func (export "run")))', null],
    ['(module (func (export "run") (result i32) (i32.const 1)))', null],
    ['(module (global (export "_start") i32 (i32.const 1)))', null],
    ['(module (func (export "main")))', null],
  ];
  for (const [wat, entry] of entries) {
    it(`finds where a job starts: ${wat}`, () => {
      expect(readModule(wasmOf(wat)).entry).to.equal(entry);
    });
  }

  const reserved: readonly (readonly [wat: string, offset: number])[] = [
    ['(module (import "gap-junction/metering" "refill" (func (param i64))))', 18],
    ['(module (import "gap-junction/metering" "x" (global i64)))', 11],
    ['(module (func (export "gap-junction/metering:counter")))', 21],
    ['(module (memory (export "gap-junction/metering:memory") 1))', 16],
  ];
  for (const [wat, offset] of reserved) {
    it(`refuses a name with which a guest could reach its own counter: ${wat}`, async () => {
      const error = await validateModule(wasmOf(wat)).catch((caught: unknown) => caught);
      expect(error).to.be.instanceOf(WasmError);
      expect(error).to.have.property('reason').that.includes('is reserved');
      expect(error).to.have.property('offset', offset);
    });
  }
});

describe('validating a module', () => {
  it('answers the report of a valid one', async () => {
    expect(await validateModule(everything)).to.deep.equal(readModule(everything));
  });

  it("gives V8's reason and the byte offset for operators whose types do not fit", async () => {
    // () -> () with an i32.add of nothing, at byte 23.
    const wasm = new Uint8Array([
      0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 6, 1, 4,
      0, 0x6a, 0x1a, 0x0b,
    ]);
    const error = await validateModule(wasm).catch((caught: unknown) => caught);
    expect(error).to.be.instanceOf(WasmError);
    expect(error).to.have.property('offset', 23);
    expect(error)
      .to.have.property('reason')
      .that.matches(/^Compiling function #0 failed/);
  });
});
