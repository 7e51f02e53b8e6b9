import { expect } from 'chai';

import { systemClock } from '../../../server/clock.ts';
import { ModuleCheck } from '../../../server/jobs/module-check.ts';
import { whenAll } from '../../all.ts';
import { wasm } from '../../sandbox/guests.ts';

const VALUE_TYPES = ['i32', 'i64', 'f32', 'f64'] as const;
const TYPES_PER_MODULE = 9_999;

/** A program of types that no other program of this test has. */
async function programOfTypes(index: number): Promise<Uint8Array> {
  const types = Array.from({ length: TYPES_PER_MODULE }, (_, at) => {
    let number = index * TYPES_PER_MODULE + at;
    const parameters = Array.from({ length: 14 }, () => {
      const type = VALUE_TYPES[number % VALUE_TYPES.length];
      number = Math.floor(number / VALUE_TYPES.length);
      return type;
    });
    return `(type (func (param ${parameters.join(' ')})))`;
  });
  return wasm(`(module ${types.join('\n')} (func (export "run")))`);
}

whenAll('the check of modules', () => {
  const check = new ModuleCheck(systemClock);
  after(() => check.close());

  it('goes on, and the control plane with it, after more types than V8 takes in a process', async function () {
    this.timeout(240_000);
    for (let index = 0; index < 220; index += 1) {
      expect(await check.check(await programOfTypes(index))).to.include({ exportsRun: true });
    }
  });
});
