import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { MUTANTS } from './mutants.ts';
import { edited } from './put-in.ts';

const ROOT = join(import.meta.dirname, '../..');

describe('the bugs that are put in on purpose', () => {
  for (const { bug, edits } of MUTANTS) {
    it(`still fit the source, so that what finds them is tried: ${bug}`, () => {
      for (const edit of edits) {
        const text = readFileSync(join(ROOT, edit.file), 'utf8');
        expect(edited(text, edit)).not.to.equal(text);
      }
    });
  }

  it('are refused where the source has changed under them', () => {
    const edit = { file: 'a.ts', find: 'is gone', replace: '' };
    expect(() => edited('what was there', edit)).to.throw(/stands there 0 times/);
  });
});
