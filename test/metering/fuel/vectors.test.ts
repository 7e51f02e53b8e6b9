// The schedule wasmtime-48, by vectors that were made with Wasmtime itself.
import { expect } from 'chai';

import { countFuel, type CountAnswer, WasmError } from '../../../metering/metering.ts';
import { wasmOf } from '../wat.ts';
import { type Vector, vectors } from './vectors.ts';

const inside = vectors.filter((vector) => vector.outside_profile !== true);

const BULK = /memory\.(copy|fill|init)|table\.(copy|fill|init|grow)/;

/** gj-0 charges neither for instantiation nor for the length of bulk operations. */
const counted = inside.filter(
  (vector) => vector.consumed_instantiate === 0 && !BULK.test(vector.wat),
);

/** Traps before which the schedule stores its counter, so that nothing is lost at them. */
const SAVED_TRAPS = new Set([
  'OUT_OF_FUEL',
  'UNREACHABLE',
  'HOST_ERROR',
  'BAD_SIGNATURE',
  'INDIRECT_CALL_TO_NULL',
]);

function count({ wat, export: name, args, budget }: Vector): Promise<CountAnswer> {
  return countFuel({ wasm: wasmOf(wat), export: name, args, budgetFuel: BigInt(budget) });
}

describe('fuel, against the vectors of the schedule', () => {
  it('is the same for every call that completes, and so are result and memory', async () => {
    const completing = counted.filter(({ trap }) => trap === undefined);
    expect(completing).to.have.lengthOf(213);
    for (const vector of completing) {
      const consumed = String(vector.consumed);
      expect(await count(vector), vector.name).to.deep.equal({
        result: typeof vector.result === 'number' ? [String(vector.result)] : null,
        trap: null,
        consumed,
        consumedInstantiate: '0',
        fuel: consumed,
        memorySha256: vector.memory_sha256_16 ?? null,
      });
    }
  });

  it('runs out at the same check, with the same memory, for every budget', async () => {
    const ending = counted.filter(({ trap }) => trap === 'OUT_OF_FUEL');
    expect(ending).to.have.lengthOf(95);
    for (const vector of ending) {
      const answer = await count(vector);
      expect(answer.trap, vector.name).to.equal('OUT_OF_FUEL');
      expect(answer.fuel, vector.name).to.equal(String(vector.consumed));
      expect(answer.memorySha256, vector.name).to.equal(vector.memory_sha256_16 ?? null);
    }
  });

  it('is the same at the traps before which the schedule stores its counter', async () => {
    const trapping = counted.filter(({ trap }) => SAVED_TRAPS.has(trap ?? ''));
    expect(trapping).to.have.lengthOf(101);
    for (const vector of trapping) {
      const answer = await count(vector);
      expect(answer.fuel, vector.name).to.equal(String(vector.consumed));
      // V8 has one message for a null and for a badly typed element.
      const trap = vector.trap === 'INDIRECT_CALL_TO_NULL' ? 'BAD_SIGNATURE' : vector.trap;
      expect(answer.trap, vector.name).to.equal(trap);
    }
  });

  it('never says less at another trap than the schedule does', async () => {
    const losing = counted.filter(({ trap }) => trap !== undefined && !SAVED_TRAPS.has(trap));
    expect(losing).to.have.lengthOf(27);
    for (const vector of losing) {
      const answer = await count(vector);
      expect(answer.trap, vector.name).to.be.a('string');
      expect(Number(answer.fuel), vector.name).to.be.at.least(vector.consumed);
    }
  });

  it('refuses what is outside of the profile, where the text form can be read at all', async () => {
    const readable = vectors.filter(({ name }) => /^(try_table|op_memory64)/.test(name));
    expect(readable).to.have.lengthOf(3);
    for (const vector of readable) {
      const error = await count(vector).catch((caught: unknown) => caught);
      expect(error, vector.name).to.be.instanceOf(WasmError);
    }
  });
});
