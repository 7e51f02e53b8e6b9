import { expect } from 'chai';
import { SandboxPool } from '../../sandbox/sandbox.ts';
import { maxResidentBytes } from '../../sandbox/engine/resident-bound.ts';
import { manyPhis } from './compiler-bomb.ts';
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
      const spec = specOf(manyPhis(), { limits: { epochs: 60_000, memoryBytes: MIB } });
      expect(await pool.run('key', spec)).to.include({ end: 'NODE_FAULT', detail: 'SANDBOX_DIED' });
    } finally {
      await pool.close();
    }
    expect(logs.join('')).to.match(/The sandbox holds \d+ bytes, more than \d+/);
  });

  it('leaves a job all that its limits allow, as often as it is copied on its way', () => {
    const none = { memoryBytes: 0, inputBytes: 0, outputBytes: 0 };
    expect(maxResidentBytes(none)).to.be.at.least(1024 * MIB);
    expect(
      maxResidentBytes({ memoryBytes: 4096 * MIB, inputBytes: 64 * MIB, outputBytes: 64 * MIB }) -
        maxResidentBytes(none),
    ).to.be.at.least((4096 + 2 * 64 + 2 * 64) * MIB);
  });
});
