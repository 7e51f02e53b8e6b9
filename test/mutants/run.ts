// `npm run mutants -- --json`: puts each bug of mutants.ts into a copy of the tree, one at a time, and runs
// what is to find it. Exit code 1 when one is not found. `--only 'once more|not erased'` takes those whose
// name matches the expression.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { MUTANTS, type Finder, type Mutant } from './mutants.ts';
import { putIn } from './put-in.ts';

interface Found {
  readonly bug: string;
  /** Null where nothing found it. */
  readonly foundBy: string | null;
  /** What it said. */
  readonly because: string;
}

const ROOT = join(import.meta.dirname, '../..');
const VIOLATION = /^seed (\d+):[^\n]*\n {2}([^\n]+)/m;

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, only: { type: 'string', default: '' } },
});

const only = new RegExp(values.only);
const copy = mkdtempSync(join(tmpdir(), 'gj-mutants-'));
const found: Found[] = [];
try {
  copyTree();
  for (const mutant of MUTANTS.filter(({ bug }) => only.test(bug))) {
    const result = tryOut(mutant);
    found.push(result);
    process.stderr.write(`${lineOf(result)}\n`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
const missed = found.filter(({ foundBy }) => foundBy === null).length;
process.stdout.write(
  values.json
    ? `${JSON.stringify({ mutants: found.length, missed, found })}\n`
    : `${found.map(lineOf).join('\n')}\n${found.length} bugs, ${missed} not found\n`,
);
process.exitCode = missed === 0 && found.length > 0 ? 0 : 1;

function copyTree(): void {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  for (const path of listed.split('\0').filter((name) => name !== '')) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    cpSync(join(ROOT, path), join(copy, path), { force: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
}

function tryOut({ bug, edits, finder }: Mutant): Found {
  const takeOut = putIn(copy, edits);
  try {
    const { status, output } = run(finder);
    if (status === 0) return { bug, foundBy: null, because: 'nothing' };
    const [foundBy, because] = whatFound(finder, output);
    return { bug, foundBy, because };
  } finally {
    takeOut();
  }
}

function run(finder: Finder): { readonly status: number | null; readonly output: string } {
  const args =
    finder.kind === 'simulation'
      ? ['test/simulation/simulate.ts', '--seeds', String(finder.seeds), '--stop-at-violation']
      : ['node_modules/mocha/bin/mocha.js', '--exit', '--timeout', '60000', finder.file];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: copy,
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
  });
  return { status, output: `${stdout}${stderr}` };
}

/** Which seed or test failed, and its first words. A run that broke in any other way found nothing. */
function whatFound(finder: Finder, output: string): readonly [string | null, string] {
  if (finder.kind === 'simulation') {
    const [, seed, violation] = VIOLATION.exec(output) ?? [];
    return seed === undefined
      ? [null, `the simulation broke: ${output.slice(-500)}`]
      : [`seed ${seed}`, violation ?? ''];
  }
  const failed = /^ {2}1\) ([\s\S]+?):\n\s+(\w[^\n]*)/m.exec(output);
  return failed === null
    ? [null, `the test broke: ${output.slice(-500)}`]
    : [finder.file, (failed[1] ?? '').replaceAll(/\s+/g, ' ')];
}

function lineOf({ bug, foundBy, because }: Found): string {
  return `${foundBy === null ? 'NOT FOUND' : `found by ${foundBy}`} | ${bug} | ${because}`;
}
