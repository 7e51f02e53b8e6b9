// `npm run check`: all that can be said of the code without running it.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Check {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly mend: string;
}

const CHECKS: readonly Check[] = [
  { name: 'format', command: ['oxfmt', '--check'], mend: 'npm run format' },
  { name: 'lint', command: ['oxlint', '--type-aware'], mend: 'change the lines it names' },
  { name: 'types', command: ['tsc', '-p', '.'], mend: 'change the lines it names' },
  {
    name: 'proto format',
    command: ['buf', 'format', '--diff', '--exit-code', 'proto'],
    mend: 'npx buf format -w proto',
  },
  { name: 'proto lint', command: ['buf', 'lint'], mend: 'change the lines it names' },
  {
    name: 'lock file',
    command: ['npm', 'ci', '--dry-run', '--ignore-scripts'],
    mend: 'npm install --package-lock-only, until the lock no longer changes',
  },
];

function run({ name, command: [program, ...args], mend }: Check): boolean {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  const ok = status === 0;
  process.stdout.write(`${ok ? 'ok    ' : 'FAILED'} ${name}\n`);
  if (!ok) process.stdout.write(`${error?.message ?? ''}${stdout}${stderr}\nto mend it: ${mend}\n`);
  return ok;
}

/** Generates into a copy, so that a failing check leaves the tree as it was. */
function generatedCodeIsFresh(): boolean {
  const copy = mkdtempSync(join(tmpdir(), 'gap-junction-check-'));
  try {
    for (const path of ['buf.yaml', 'buf.gen.yaml', 'proto', 'third_party']) {
      cpSync(path, join(copy, path), { recursive: true });
    }
    const template = join(copy, 'buf.gen.yaml');
    const plugin = join(process.cwd(), 'node_modules', '.bin', 'protoc-gen-es');
    execFileSync('sed', ['-i', `s|local: .*|local: ${plugin}|`, template]);
    execFileSync('buf', ['generate'], { cwd: copy });
    return run({
      name: 'generated code',
      command: ['diff', '--recursive', '--brief', join(copy, 'gen'), 'gen'],
      mend: 'npm run generate',
    });
  } finally {
    rmSync(copy, { recursive: true });
  }
}

const results = [...CHECKS.map(run), generatedCodeIsFresh()];
process.exitCode = results.every(Boolean) ? 0 : 1;
