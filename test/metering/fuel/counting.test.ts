// Counting by blocks against counting each operator, on programs that nobody designed.
import { expect } from 'chai';
import fc from 'fast-check';

import { OutOfFuel } from '../../../metering/metering.ts';
import { everything, everythingImports } from '../samples.ts';
import { wasmOf } from '../wat.ts';
import { meteredGuest } from './metered-guest.ts';
import { randomProgram } from './random-program.ts';
import { stepped } from './step-oracle.ts';

interface Run {
  readonly result: unknown;
  readonly steps: bigint;
  readonly memory: Uint8Array;
}

function oracleRun(
  wasm: Uint8Array,
  name: string,
  { args, imports = {} }: { args: readonly unknown[]; imports?: WebAssembly.Imports },
): Run {
  let steps = 0n;
  const oracle = {
    step() {
      steps += 1n;
    },
  };
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(stepped(wasm)), {
    ...imports,
    oracle,
  });
  steps = 0n;
  const result = (exports[name] as Function)(...args);
  return { result, steps, memory: bytesOf(exports['memory'] as WebAssembly.Memory) };
}

function bytesOf(memory: WebAssembly.Memory): Uint8Array {
  return new Uint8Array(memory.buffer);
}

describe('counting a program', () => {
  it('bills exactly the operators that ran, and changes neither result nor memory', () => {
    fc.assert(
      fc.property(randomProgram, fc.integer({ min: -3, max: 300 }), (wat, argument) => {
        const wasm = wasmOf(wat);
        const expected = oracleRun(wasm, 'f0', { args: [argument] });
        const guest = meteredGuest(wasm);
        expect(guest.call('f0', argument)).to.equal(expected.result);
        expect(guest.meter.consumedFuel).to.equal(expected.steps);
        const memory = bytesOf(guest.exports['memory'] as WebAssembly.Memory);
        expect(Buffer.compare(memory, expected.memory)).to.equal(0);
      }),
      { numRuns: 300 },
    );
  });

  it('never bills more than the budget, and all of it when it ran out', () => {
    fc.assert(
      fc.property(randomProgram, fc.nat({ max: 200 }), (wat, budget) => {
        const wasm = wasmOf(wat);
        const { steps } = oracleRun(wasm, 'f0', { args: [1] });
        const budgetFuel = BigInt(budget);
        const guest = meteredGuest(wasm, { budgetFuel });
        let ranOut = false;
        try {
          guest.call('f0', 1);
        } catch (error) {
          expect(error).to.be.instanceOf(OutOfFuel);
          ranOut = true;
        }
        expect(guest.meter.consumedFuel).to.equal(steps < budgetFuel ? steps : budgetFuel);
        if (ranOut) expect(steps >= budgetFuel).to.equal(true);
      }),
      { numRuns: 300 },
    );
  });

  for (const [name, ...args] of [
    ['indirect', 3, 1],
    ['indirect', 3, 2],
    ['swap', 3, 4n],
    ['counted'],
    ['copied'],
    ['simd'],
    ['references', 'a host value'],
    ['switch', 0],
    ['switch', 1],
    ['switch', 9],
    ['multi', 20],
    ['converted', 3.7],
    ['grown', 1],
    ['tail', 21],
  ] as const) {
    it(`bills the operators of every kind: ${name}(${args.join(', ')})`, () => {
      const expected = oracleRun(everything, name, { args, imports: everythingImports() });
      const guest = meteredGuest(everything, { imports: everythingImports });
      (guest.exports[guest.metered.exports.start!] as Function)();
      const before = guest.meter.consumedFuel;
      expect(guest.call(name, ...args)).to.deep.equal(expected.result);
      expect(guest.meter.consumedFuel - before).to.equal(expected.steps);
    });
  }
});
