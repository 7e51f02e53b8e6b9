// What the documents point at is there: a reader who follows a link, or looks for the test of a threat,
// finds it.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { expect } from 'chai';

const documents = execFileSync(
  'git',
  ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'],
  { encoding: 'utf8' },
)
  .split('\n')
  .filter((path) => path !== '' && existsSync(path));

describe('the documents', () => {
  for (const path of documents) {
    it(`${path} points at what is there`, () => {
      const text = readFileSync(path, 'utf8').replaceAll(/^```[^]*?^```/gm, '');
      const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? '');
      const broken = links
        .filter((target) => !/^(https?:|mailto:|#)/.test(target))
        .filter((target) => !existsSync(join(dirname(path), target.replace(/#.*/, ''))));
      expect(broken).to.deep.equal([]);
    });
  }

  it('the threat model names a test for each threat that is not open, and every test of a threat', () => {
    const text = readFileSync('docs/threat-model.md', 'utf8');
    const rows = text.split('\n').filter((line) => /^\| [^-]/.test(line));
    const bodies = rows.filter((row) => !/\| test +\|$/.test(row));
    expect(bodies.length).to.be.at.least(8);
    for (const row of bodies) expect(row).to.match(/\.\.\/test\/[a-z/-]+\.test\.ts|\*\*open\*\*/);
    const tests = execFileSync('git', ['ls-files', 'test/threats/*.test.ts'], { encoding: 'utf8' });
    for (const test of tests.trim().split('\n')) expect(text).to.contain(`(../${test})`);
  });
});
