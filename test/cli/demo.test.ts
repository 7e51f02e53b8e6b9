import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from 'chai';

import { whenAll } from '../all.ts';
import { gapJunction } from './whole-system.ts';

interface Summary {
  readonly jobs: readonly {
    readonly name: string;
    readonly end: string;
    readonly fuel: string;
    readonly chargeMicrocents: string;
    readonly outputBytes: number;
    readonly billVerified: boolean;
    readonly replayed: boolean;
  }[];
  readonly heartbeatReplayRefused: boolean;
  readonly ledgerSum: string;
  readonly files: readonly string[];
}

whenAll('the demo', () => {
  it('shows a newcomer the whole of it: real jobs, bills that replay, a refused replay, books that balance', async () => {
    const outputDir = mkdtempSync(join(tmpdir(), 'gap-junction-demo-test-'));
    try {
      const run = await gapJunction(['demo', '--json', '--output-dir', outputDir]);
      expect(run.exitCode, run.stderr).to.equal(0);
      expect(run.stdout.trimEnd().split('\n')).to.have.length(1);
      const summary = JSON.parse(run.stdout) as Summary;
      expect(summary.jobs.map(({ name, end }) => [name, end])).to.deep.equal([
        ['sketch', 'SUCCEEDED'],
        ['infinite-loop', 'OUT_OF_FUEL'],
        ['memory-hog', 'TRAPPED'],
        ['reach', 'SUCCEEDED'],
      ]);
      for (const job of summary.jobs) {
        expect(job, job.name).to.include({ billVerified: true, replayed: true });
        expect(BigInt(job.fuel) > 0n, `${job.name} burnt fuel`).to.equal(true);
        expect(BigInt(job.chargeMicrocents) > 0n, `${job.name} was charged`).to.equal(true);
      }
      expect(summary.heartbeatReplayRefused).to.equal(true);
      expect(summary.ledgerSum).to.equal('0');
      const sketch = readFileSync(join(outputDir, 'sketch.bmp'));
      expect(sketch.subarray(0, 2).toString()).to.equal('BM');
      expect(sketch.length).to.equal(summary.jobs[0]?.outputBytes);
      for (const file of summary.files) expect(readFileSync(file).length).to.be.above(0);
    } finally {
      rmSync(outputDir, { recursive: true });
    }
  });
});
