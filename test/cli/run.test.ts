import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ECHO, LOOP, wasm } from '../sandbox/guests.ts';

const COMMAND = join(import.meta.dirname, '../../cli/gap-junction.mjs');

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function gapJunction(...args: string[]): Promise<Ran> {
  return await new Promise((resolve) => {
    execFile(process.execPath, [COMMAND, ...args], (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

describe('gap-junction run and module inspect', () => {
  let folder: string;
  const path = (name: string) => join(folder, name);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gap-junction-run-'));
    await writeFile(path('echo.wasm'), await wasm(ECHO));
    await writeFile(path('loop.wasm'), await wasm(LOOP));
    await writeFile(path('input'), 'twelve bytes');
    await writeFile(
      path('stranger.wasm'),
      await wasm('(module (import "env" "launch" (func)) (func (export "run")))'),
    );
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  it('the result goes to stdout, end, fuel and price to stderr', async () => {
    const ran = await gapJunction('run', path('echo.wasm'), '--input', path('input'));
    expect(ran.code).to.equal(0);
    expect(ran.stdout).to.equal('twelve bytes');
    expect(ran.stderr).to.match(
      /^SUCCEEDED: 233 fuel, 12 bytes of output, 0\.\d{6} cents as a job/,
    );
  });

  it('the result goes to a file, and the rest to a program that reads JSON', async () => {
    const seed = '07'.repeat(32);
    const ran = await gapJunction(
      'run',
      path('echo.wasm'),
      '--input',
      path('input'),
      '--output',
      path('output'),
      '--seed',
      seed,
      '--json',
    );
    expect(await readFile(path('output'), 'utf8')).to.equal('twelve bytes');
    expect(JSON.parse(ran.stdout)).to.include({
      end: 'SUCCEEDED',
      fuel: '233',
      // 100 to begin with, and at least 1 each for module, input and output, and fuel.
      chargeMicrocents: '103',
      outputBytes: 12,
      seed,
    });
  });

  it('a guest that does not succeed is not exit code 0', async () => {
    const ran = await gapJunction('run', path('loop.wasm'), '--fuel', '5000', '--json');
    expect(ran.code).to.equal(3);
    expect(JSON.parse(ran.stdout)).to.include({ end: 'OUT_OF_FUEL', fuel: '5000' });
  });

  it('a result longer than the default limit can be had, as of a job', async () => {
    const outputBytes = 3 * 1024 * 1024;
    const source = `(module
      (import "gap_junction" "output_write" (func $write (param i32 i32)))
      (memory (export "memory") 48)
      (func (export "run") (call $write (i32.const 0) (i32.const ${outputBytes}))))`;
    await writeFile(path('long.wasm'), await wasm(source));
    const args = ['run', path('long.wasm'), '--output', path('output')];
    expect((await gapJunction(...args)).stderr).to.include('OUTPUT_TOO_LARGE');
    const ran = await gapJunction(...args, '--output-bytes', String(outputBytes));
    expect(ran.code, ran.stderr).to.equal(0);
    expect((await readFile(path('output'))).byteLength).to.equal(outputBytes);
  });

  it('options that make no sense are refused with the reason', async () => {
    for (const args of [
      ['--deadline-ms', '15'],
      ['--seed', 'abc'],
    ]) {
      const ran = await gapJunction('run', path('echo.wasm'), ...args);
      expect(ran.code, args.join(' ')).to.equal(2);
      expect(ran.stderr).to.include(args[0]).and.include(args[1]);
    }
  });

  it('what is no module, or has no entry, is refused before it runs', async () => {
    const text = await gapJunction('run', path('input'));
    expect(text.code).to.equal(1);
    expect(text.stderr).to.match(/input.*at byte 0/);
  });

  it('inspect tells what a node would run, and why it would not', async () => {
    const echo = await gapJunction('module', 'inspect', path('echo.wasm'), '--json');
    expect(echo.code).to.equal(0);
    expect(JSON.parse(echo.stdout)).to.deep.include({ accepted: true, refusals: [], entry: 'RUN' });
    const stranger = await gapJunction('module', 'inspect', path('stranger.wasm'));
    expect(stranger.code).to.equal(1);
    expect(stranger.stdout).to.match(/refused: the module imports env\.launch/);
  });
});
