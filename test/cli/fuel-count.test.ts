import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { expect } from 'chai';

const COMMAND = join(import.meta.dirname, '../../cli/gap-junction.mjs');

const SQUARE = `(module (func (export "square") (param i32) (result i32)
  (i32.mul (local.get 0) (local.get 0))))`;

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

async function fuelCount(...args: readonly string[]): Promise<Outcome> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      COMMAND,
      'fuel',
      'count',
      ...args,
    ]);
    return { stdout, stderr, code: 0 };
  } catch (error) {
    return error as Outcome;
  }
}

describe('gap-junction fuel count', () => {
  let folder: string;
  let square: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gap-junction-fuel-'));
    square = join(folder, 'square.wat');
    await writeFile(square, SQUARE);
  });
  after(() => rm(folder, { recursive: true }));

  it('answers one call as one JSON document', async () => {
    const { stdout, code } = await fuelCount(square, 'square', '-12', '--budget', '100', '--json');
    expect(code).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal({
      result: ['144'],
      trap: null,
      consumed: '4',
      consumedInstantiate: '0',
      fuel: '4',
      memorySha256: null,
    });
  });

  it('answers a person in words', async () => {
    const { stdout } = await fuelCount(square, 'square', '3', '--budget', '0');
    expect(stdout).to.match(/trap +OUT_OF_FUEL\nfuel +0 \(gj-0\)/);
  });

  it('answers each line of a batch in order, a wrong one with what is wrong in it', async () => {
    const jobs = join(folder, 'jobs.jsonl');
    const lines = [
      { wasm: square, export: 'square', args: [2], budget: '100' },
      { wat: '(module (func $f (loop br 0)) (start $f))', budget: 50 },
      { wat: '(module (memory i64 1))' },
      { wat: '(module', export: null },
      { wasm: square, wat: SQUARE },
      { wat: SQUARE, export: 'square', args: [2 ** 60] },
      { wat: SQUARE, export: 'square', args: ['5'] },
    ];
    const text = lines.map((line) => JSON.stringify(line));
    await writeFile(jobs, [...text.slice(0, 5), 'not JSON', '', ...text.slice(5)].join('\n'));
    const { stdout, code } = await fuelCount('--batch', jobs, '--json');
    expect(code).to.equal(0);
    const answers = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(answers.map((one) => one['result'] ?? one['trap'] ?? one['error'])).to.deep.equal([
      ['4'],
      'OUT_OF_FUEL',
      'a memory of the proposal "memory64" is not accepted',
      answers[3]?.['error'],
      answers[4]?.['error'],
      answers[5]?.['error'],
      answers[6]?.['error'],
      ['25'],
    ]);
    expect(answers[2]?.['offset']).to.equal(11);
    expect(answers[3]?.['error']).to.match(/parseWat failed/);
    expect(answers[4]?.['error']).to.match(/one of "wasm", a path, and "wat"/);
    expect(answers[5]?.['error']).to.match(/JSON/);
    expect(answers[6]?.['error']).to.match(/beyond 2\^53/);
  });

  it('says what to give when nothing was given, and which file is not there', async () => {
    const none = await fuelCount();
    expect(none.code).to.equal(2);
    expect(none.stderr).to.include('give a module, or --batch');
    const missing = await fuelCount(join(folder, 'missing.wasm'));
    expect(missing.code).to.equal(1);
    expect(missing.stderr).to.include('missing.wasm');
  });
});
