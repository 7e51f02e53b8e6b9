import { expect } from 'chai';
import { SandboxPool } from '../../sandbox/sandbox.ts';
import { maxResidentBytes } from '../../sandbox/engine/resident-bound.ts';
import { EMPTY_TYPE, moduleOf, section, u32 } from '../metering/wasm/module-bytes.ts';
import { specOf } from './guests.ts';

const MIB = 1024 * 1024;

describe('the memory of a sandbox process', () => {
  it('ends with the process when a module makes the compiler take all of the machine', async () => {
    const logs: string[] = [];
    const pool = new SandboxPool({
      maxProcesses: 1,
      idleMs: 60_000,
      onProcessLog: (text) => logs.push(text),
    });
    try {
      // Called until V8 optimizes it: then each loop header has a phi for each of 9,900 locals.
      const spec = specOf(manyPhis(), { limits: { epochs: 600, memoryBytes: MIB } });
      expect(await pool.run('key', spec)).to.include({ end: 'NODE_FAULT', detail: 'SANDBOX_DIED' });
    } finally {
      await pool.close();
    }
    expect(logs.join('')).to.match(/The sandbox holds \d+ bytes, more than \d+/);
  }).timeout(20_000);

  it('leaves a job all that its limits allow, as often as it is copied on its way', () => {
    const none = { memoryBytes: 0, inputBytes: 0, outputBytes: 0 };
    expect(maxResidentBytes(none)).to.be.at.least(1024 * MIB);
    expect(
      maxResidentBytes({ memoryBytes: 4096 * MIB, inputBytes: 64 * MIB, outputBytes: 64 * MIB }) -
        maxResidentBytes(none),
    ).to.be.at.least((4096 + 2 * 64 + 2 * 64) * MIB);
  });
});

const LOCALS = 9_900;
const NESTED = 900;

/** (func (local i32 x 9,900)), seven times: loops within loops, and in the innermost every local set. */
function manyPhis(): Uint8Array {
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
