// `dev`, and the client's and operator's subcommands on it, as the README tells a newcomer to use them.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from 'chai';

import { enrolAgent } from '../../cli/local-system.ts';
import { Program, type ProgramEvent } from '../../cli/processes.ts';
import { whenAll } from '../all.ts';
import { wasm } from '../sandbox/guests.ts';
import { gapJunction } from './whole-system.ts';

interface Ready extends ProgramEvent {
  readonly address: string;
  readonly ca: string;
  readonly caFingerprint: string;
  readonly client: { readonly cert: string; readonly key: string };
  readonly operator: { readonly cert: string; readonly key: string };
}

/** Copies its input to its output. */
const ECHO = `(module
  (import "gap_junction" "input_size" (func $size (result i32)))
  (import "gap_junction" "input_read" (func $read (param i32 i32 i32) (result i32)))
  (import "gap_junction" "output_write" (func $write (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "run")
    (call $write (i32.const 0) (call $read (i32.const 0) (i32.const 0) (call $size)))))`;
const SPIN = '(module (func (export "run") (loop $again (br $again))))';

whenAll('dev, and the command on it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gap-junction-dev-test-'));
  const dataDir = join(folder, 'data');
  const file = (name: string) => join(folder, name);
  let dev: Program;
  let ready: Ready;
  let asClient: Record<string, string>;
  let asOperator: Record<string, string>;

  const startDev = async () => {
    dev = new Program('dev', 'cli/gap-junction.mjs', [
      'dev',
      '--json',
      '--port=0',
      `--data-dir=${dataDir}`,
    ]);
    ready = (await dev.event('ready')) as Ready;
    const common = { GJ_ADDRESS: ready.address, GJ_CA: ready.ca };
    asClient = { ...common, GJ_CERT: ready.client.cert, GJ_KEY: ready.client.key };
    asOperator = { ...common, GJ_CERT: ready.operator.cert, GJ_KEY: ready.operator.key };
  };
  const client = async (...args: string[]) => gapJunction(args, { env: asClient });
  const operator = async (...args: string[]) => gapJunction(args, { env: asOperator });

  before(async () => {
    writeFileSync(file('echo.wasm'), await wasm(ECHO));
    writeFileSync(file('spin.wasm'), await wasm(SPIN));
    writeFileSync(file('input'), 'a line of input\n');
    await startDev();
  });

  after(async () => {
    await dev.stop();
    rmSync(folder, { recursive: true });
  });

  it('a result that cannot be written is not lost: the command says how to get it again', async () => {
    const submit = ['job', 'submit', file('echo.wasm'), `--input=${file('input')}`];
    for (const option of ['output', 'bill']) {
      const run = await client(...submit, `--${option}=${file('no-such-folder/file')}`);
      expect(run.exitCode).to.equal(1);
      const again = new RegExp(`SUCCEEDED[^]*ENOENT.*job watch (\\S+) --${option}`).exec(
        run.stderr,
      );
      const watch = await client('job', 'watch', again?.[1] ?? run.stderr, '--output=-');
      expect(watch.stdout, watch.stderr).to.equal('a line of input\n');
    }
  });

  it('says in one line all that a script needs to start from', () => {
    expect(ready.caFingerprint).to.match(/^sha256:[0-9a-f]{64}$/);
    for (const path of [ready.ca, ready.client.cert, ready.operator.cert]) {
      expect(existsSync(path), path).to.equal(true);
    }
    for (const key of [ready.client.key, ready.operator.key]) {
      expect(statSync(key).mode & 0o777, key).to.equal(0o600);
    }
  });

  it('runs a job whose output, bill and replay a client gets with three flags', async () => {
    const run = await client(
      'job',
      'submit',
      file('echo.wasm'),
      `--input=${file('input')}`,
      `--output=${file('output')}`,
      `--bill=${file('bill.json')}`,
    );
    expect(run.exitCode, run.stderr).to.equal(0);
    expect(readFileSync(file('output'), 'utf8')).to.equal('a line of input\n');
    const verify = await gapJunction([
      'bill',
      'verify',
      file('bill.json'),
      `--ca=${ready.ca}`,
      '--replay',
      `--module=${file('echo.wasm')}`,
      `--input=${file('input')}`,
      '--json',
    ]);
    expect(verify.exitCode, verify.stdout).to.equal(0);
    expect(JSON.parse(verify.stdout)).to.include({ verified: true });
  });

  it('keeps a module for later jobs', async () => {
    const pushed = await client('module', 'push', file('echo.wasm'));
    expect(pushed.exitCode, pushed.stderr).to.equal(0);
    expect(pushed.stdout).to.match(/^sha256:[0-9a-f]{64} .* RUN\n$/);
    writeFileSync(file('cut.wasm'), readFileSync(file('echo.wasm')).subarray(0, -1));
    const refused = await client('module', 'push', file('cut.wasm'));
    expect(refused.exitCode).to.equal(1);
    expect(refused.stderr).to.contain('MODULE_REFUSED');
  });

  it('takes input from a pipe and gives output to one', async () => {
    const run = await gapJunction(['job', 'submit', file('echo.wasm'), '--input', '-', '--wait'], {
      env: asClient,
      stdin: 'from a pipe',
    });
    expect(run.stdout).to.equal('from a pipe');
  });

  it('does not call a failed job a success', async () => {
    const run = await client(
      'job',
      'submit',
      file('spin.wasm'),
      '--fuel=5000000',
      '--wait',
      '--json',
    );
    expect(run.exitCode).to.equal(3);
    const job = JSON.parse(run.stdout) as Record<string, unknown>;
    expect(job).to.include({ end: 'JOB_END_OUT_OF_FUEL', fuel: '5000000' });
  });

  it('quotes what a job holds, shows it while it is held, and stops it on demand', async () => {
    const quoted = await client('job', 'quote', file('spin.wasm'), '--json');
    const { holdMicrocents } = JSON.parse(quoted.stdout) as { holdMicrocents: string };
    const submitted = await client(
      'job',
      'submit',
      file('spin.wasm'),
      '--json',
      '--fuel=10000000000',
    );
    const { jobId } = JSON.parse(submitted.stdout) as { jobId: string };
    const balance = await client('balance', '--json');
    expect(JSON.parse(balance.stdout)).to.include({ heldMicrocents: holdMicrocents });
    expect((await client('job', 'cancel', jobId)).exitCode).to.equal(0);
    const watched = await client('job', 'watch', jobId, '--json');
    expect(watched.exitCode).to.equal(3);
    expect(JSON.parse(watched.stdout)).to.include({ jobId, end: 'JOB_END_CANCELLED' });
    expect((await client('job', 'get', jobId)).stdout).to.contain('CANCELLED');
    expect((await client('job', 'list')).stdout).to.contain(jobId);
    expect((await client('module', 'list')).stdout).to.match(/sha256:[0-9a-f]{64}/);
  });

  it('steers the fleet and the clients as an operator', async () => {
    const nodes = JSON.parse((await operator('admin', 'nodes', '--json')).stdout) as {
      nodes: { nodeId: string }[];
    };
    expect(nodes.nodes).to.have.length(1);
    const node = await operator('admin', 'node', nodes.nodes[0]?.nodeId ?? '');
    expect(node.stdout).to.contain('ENROLLED').and.to.contain('LIVE');

    const issued = await operator(
      'admin',
      'client',
      'issue',
      '--name=Acme',
      `--new-key=${file('acme.key')}`,
      `--out=${file('acme.crt')}`,
      '--json',
    );
    expect(issued.exitCode, issued.stderr).to.equal(0);
    const { id } = JSON.parse(issued.stdout) as { id: string };
    expect((await operator('admin', 'credit', id, '12345')).exitCode).to.equal(0);
    const balance = await gapJunction(['balance', '--json'], {
      env: { ...asClient, GJ_CERT: file('acme.crt'), GJ_KEY: file('acme.key') },
    });
    expect(JSON.parse(balance.stdout)).to.include({ availableMicrocents: '12345' });
    expect((await operator('admin', 'client', 'list')).stdout).to.contain('Acme');
    expect((await operator('admin', 'audit')).stdout).to.contain('CLIENT_CREDITED');
  });

  it('tells a client who knocks at the operators door which door it is', async () => {
    const run = await client('admin', 'nodes');
    expect(run.exitCode).to.equal(1);
    expect(run.stderr).to.contain('WRONG_ROLE');
  });

  it('takes from the file that dev wrote whom to talk to and as whom; a flag goes before it', async () => {
    const context = join(dataDir, 'context.json');
    const none = { GJ_ADDRESS: '', GJ_CA: '', GJ_CERT: '', GJ_KEY: '' };
    const env = { ...none, GJ_CONTEXT: context };
    const balance = await gapJunction(['balance', '--json'], { env });
    expect(JSON.parse(balance.stdout)).to.have.property('availableMicrocents');
    const elsewhere = await gapJunction(['balance', '--ca', file('missing.crt')], { env });
    expect(elsewhere.stderr).to.contain('missing.crt').and.to.contain('ENOENT');
    writeFileSync(file('context.json'), '{"adress": "localhost:1"}');
    const misspelt = await gapJunction(['balance'], {
      env: { ...none, GJ_CONTEXT: file('context.json') },
    });
    expect(misspelt.exitCode).to.equal(1);
    expect(misspelt.stderr).to.contain('adress');
  });

  it('says what is missing on the command line', async () => {
    const run = await gapJunction(['balance'], {
      env: { GJ_CONTEXT: '', GJ_ADDRESS: '', HOME: folder },
    });
    expect(run.exitCode).to.equal(2);
    expect(run.stderr).to.contain('--address (or GJ_ADDRESS)').and.to.contain('--key (or GJ_KEY)');
  });

  it('is the same system after a restart: the node, the client and its balance are kept', async () => {
    const before = (await client('balance', '--json')).stdout;
    await dev.stop();
    await startDev();
    expect((await client('balance', '--json')).stdout).to.equal(before);
    const run = await client(
      'job',
      'submit',
      file('echo.wasm'),
      `--input=${file('input')}`,
      '--wait',
    );
    expect(run.stdout, run.stderr).to.equal('a line of input\n');
  });

  it('puts a node out for good, and the audit log says by whom and why', async () => {
    const { nodeId } = await enrolAgent(ready, {
      dataDir: file('stolen-laptop'),
      accountName: 'Stolen',
    });
    const unexplained = await operator('admin', 'revoke', nodeId);
    expect(unexplained.exitCode, 'without a reason').to.equal(2);
    const revoked = await operator('admin', 'revoke', nodeId, '--reason=sold on a market');
    expect(revoked.exitCode, revoked.stderr).to.equal(0);
    expect((await operator('admin', 'node', nodeId)).stdout).to.contain('REVOKED');
    const audit = await operator('admin', 'audit', '--json');
    expect(audit.stdout).to.contain('NODE_REVOKED').and.to.contain('sold on a market');
  });
});
