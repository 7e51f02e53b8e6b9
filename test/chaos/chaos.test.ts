// The chaos run as `npm run chaos` makes it, but short.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { expect } from 'chai';

import { whenAll } from '../all.ts';

const CHAOS = join(import.meta.dirname, 'chaos.ts');

whenAll('kills of replicas and agents at random', () => {
  function run(line: string): Record<string, unknown> {
    const args = [CHAOS, '--json', ...line.split(' ')];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(status, stderr).to.equal(0);
    return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
  }

  it('lose no job that was acknowledged, and pay nobody twice', () => {
    const report = run('--seconds 20 --kills 5 --seed 3 --rate 4 --replicas 2 --agents 3');
    expect(report).to.include({ lost: 0, paidTwice: 0, acknowledged: 80, ended: 80 });
    expect(report['kills']).to.equal(5);
  }).timeout(240_000);
});
