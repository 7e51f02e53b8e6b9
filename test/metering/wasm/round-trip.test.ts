import { expect } from 'chai';

import { decodeModule } from '../../../metering/wasm/decode.ts';
import { encodeModule } from '../../../metering/wasm/encode.ts';
import { renumberFunctions } from '../../../metering/wasm/renumber.ts';
import { samples } from '../samples.ts';
import { wasmOf } from '../wat.ts';
import { vectors } from '../fuel/vectors.ts';

describe('reading and writing a module', () => {
  for (const [name, wasm] of samples) {
    it(`loses nothing of a module: ${name}`, () => {
      expect(encodeModule(decodeModule(wasm))).to.deep.equal(wasm);
    });
  }

  it('loses nothing of any module among the vectors of the fuel schedule', () => {
    const texts = new Set(
      vectors.filter(({ feature }) => feature === undefined).map(({ wat }) => wat),
    );
    expect(texts.size).to.be.greaterThan(200);
    for (const wat of texts) {
      const wasm = wasmOf(wat);
      expect(encodeModule(decodeModule(wasm)), wat).to.deep.equal(wasm);
    }
  });

  it('keeps the names of functions for people, and no section of other tools', () => {
    const named = section(0, [4, ...text('name'), 0, 3, 2, ...text('hi')]);
    const hints = section(0, [25, ...text('metadata.code.branch_hint'), 0]);
    const wasm = new Uint8Array([...preamble, ...hints, ...named]);
    expect([...encodeModule(decodeModule(wasm))]).to.deep.equal([...preamble, ...named]);
  });

  it('writes long forms of numbers in their short form, and the module means the same', () => {
    // A memory of 1 page, the count as 81 80 00.
    const wasm = new Uint8Array([...preamble, 5, 5, 0x81, 0x80, 0x00, 0x00, 0x01]);
    expect(WebAssembly.validate(wasm)).to.equal(true);
    expect([...encodeModule(decodeModule(wasm))]).to.deep.equal([...preamble, 5, 3, 1, 0, 1]);
  });

  it('re-numbers a function wherever a module names one', () => {
    const before = decodeModule(
      wasmOf(`(module (func $a) (func $b) (table 9 funcref) (start $b) (export "b" (func $b))
        (global funcref (ref.func $b)) (elem (i32.const 0) $a $b) (elem func $b)
        (elem (i32.const 2) funcref (ref.func $b) (ref.null func)))`),
    );
    const after = decodeModule(
      wasmOf(`(module (func $a) (func $b) (table 9 funcref) (start $a) (export "b" (func $a))
        (global funcref (ref.func $a)) (elem (i32.const 0) $b $a) (elem func $a)
        (elem (i32.const 2) funcref (ref.func $a) (ref.null func)))`),
    );
    const moved = renumberFunctions(before, (index) => 1 - index);
    expect(encodeModule(moved)).to.deep.equal(encodeModule(after));
  });
});

const preamble = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

function section(id: number, body: readonly number[]): number[] {
  return [id, body.length, ...body];
}

function text(characters: string): number[] {
  return [...new TextEncoder().encode(characters)];
}
