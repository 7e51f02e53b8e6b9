import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { expect } from 'chai';

import { Entry, JobEnd, type Bill } from '#gen/gapjunction/job/v1/bill_pb';

import { GJ_0_DIGEST_HEX } from '../../metering/metering.ts';
import { writeBillFile } from '../../protocol/bill/bill-file.ts';
import { digest } from '../../protocol/bill/digest.ts';
import { SandboxPool, type GuestOutcome } from '../../sandbox/sandbox.ts';
import { TestAuthority } from '../fakes/authority.ts';
import { makeBill } from '../fakes/bill.ts';
import { ECHO, LIMITS, LOOP, SEED, specOf, wasm } from '../sandbox/guests.ts';

const COMMAND = join(import.meta.dirname, '../../cli/gap-junction.mjs');
const INPUT = Buffer.from('as it went in');

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

async function bill(...args: readonly string[]): Promise<Outcome> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [
      COMMAND,
      'bill',
      ...args,
    ]);
    return { stdout, stderr, code: 0 };
  } catch (error) {
    return error as Outcome;
  }
}

describe('gap-junction bill', () => {
  let folder: string;
  let authority: TestAuthority;
  const at = (name: string): string => join(folder, name);

  /** The bill of a run that really happened. */
  async function billOf(
    { module, input }: { module: Uint8Array; input: Uint8Array },
    outcome: GuestOutcome,
    end: JobEnd,
  ): Promise<Bill> {
    return makeBill(authority, {
      order: {
        module: { digest: digest(module), sizeBytes: BigInt(module.byteLength) },
        input: { digest: digest(input), sizeBytes: BigInt(input.byteLength) },
        entry: Entry.RUN,
        grants: [],
        limits: {
          fuel: LIMITS.fuel,
          deadlineEpochs: 10,
          memoryBytes: BigInt(LIMITS.memoryBytes),
          outputBytes: BigInt(LIMITS.outputBytes),
          logBytes: BigInt(LIMITS.logBytes),
        },
        profileDigest: Buffer.from(GJ_0_DIGEST_HEX, 'hex'),
        seed: SEED,
      },
      receipt: {
        end,
        endDetail: outcome.detail,
        fuel: outcome.fuel,
        output: {
          digest: digest(outcome.output),
          sizeBytes: BigInt(outcome.output.byteLength),
        },
        stopStateDigest: outcome.stopStateDigest ?? new Uint8Array(),
        sleptNs: outcome.sleptNs,
        peakMemoryPages: outcome.peakMemoryPages,
      },
    });
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gap-junction-bill-'));
    authority = await TestAuthority.create();
    const pool = new SandboxPool({ maxProcesses: 1, idleMs: 60_000 });
    try {
      const echo = { module: await wasm(ECHO), input: INPUT };
      const echoed = await pool.run('a', specOf(echo.module, { input: INPUT }));
      const loop = { module: await wasm(LOOP), input: new Uint8Array() };
      const stopped = await pool.run('a', specOf(loop.module, { limits: { epochs: 10 } }));
      expect([echoed.end, stopped.end]).to.deep.equal(['SUCCEEDED', 'DEADLINE_EXCEEDED']);
      const good = await billOf(echo, echoed, JobEnd.SUCCEEDED);
      const forged = await billOf(
        echo,
        { ...echoed, fuel: echoed.fuel + 1_000_000n },
        JobEnd.SUCCEEDED,
      );
      const stop = await billOf(loop, stopped, JobEnd.DEADLINE_EXCEEDED);
      await Promise.all([
        writeFile(at('echo.wasm'), echo.module),
        writeFile(at('loop.wasm'), loop.module),
        writeFile(at('input'), INPUT),
        writeFile(at('ca.pem'), authority.rootPem),
        writeFile(at('two.pem'), authority.rootPem + (await TestAuthority.create()).rootPem),
        writeFile(at('foreign.pem'), (await TestAuthority.create()).rootPem),
        writeFile(at('good.json'), writeBillFile(good)),
        writeFile(at('forged.json'), writeBillFile(forged)),
        writeFile(at('stop.json'), writeBillFile(stop)),
      ]);
    } finally {
      await pool.close();
    }
  });
  after(() => rm(folder, { recursive: true }));

  it('shows what a bill says, and that it was not checked', async () => {
    const { stdout, code } = await bill('show', at('good.json'));
    expect(code).to.equal(0);
    expect(stdout)
      .to.match(/^end +SUCCEEDED$/m)
      .and.to.match(/^unchecked/m);
    const { stdout: json } = await bill('show', at('good.json'), '--json');
    expect(JSON.parse(json)).to.have.nested.property('receipt.end', 'JOB_END_SUCCEEDED');
  });

  it('verifies a good bill with nothing but the root certificate', async () => {
    const { stdout, code } = await bill('verify', at('good.json'), '--ca', at('ca.pem'));
    expect(stdout).to.match(/^verified: all \d+ checks hold$/m);
    expect(code).to.equal(0);
  });

  it('replays it to the same end, and a stop to the same memories', async () => {
    const echo = ['--replay', '--module', at('echo.wasm'), '--input', at('input'), '--json'];
    const replayed = await bill('verify', at('good.json'), '--ca', at('ca.pem'), ...echo);
    const report = JSON.parse(replayed.stdout) as { verified: boolean; checks: object[] };
    expect(report.checks.at(-1)).to.deep.equal({ name: 'replay', status: 'ok', reason: '' });
    expect(report.verified).to.equal(true);

    const loop = ['--replay', '--module', at('loop.wasm')];
    const stop = await bill('verify', at('stop.json'), '--ca', at('ca.pem'), ...loop);
    expect(stop.stdout).to.match(/^ok +replay$/m);
    expect(stop.code).to.equal(0);
  });

  it('finds by replay the fuel that was made up, which nothing else can', async () => {
    const plain = await bill('verify', at('forged.json'), '--ca', at('ca.pem'));
    expect(plain.code).to.equal(0);
    const echo = ['--replay', '--module', at('echo.wasm'), '--input', at('input')];
    const replayed = await bill('verify', at('forged.json'), '--ca', at('ca.pem'), ...echo);
    expect(replayed.stdout).to.match(/^failed +replay: it burnt \d+ fuel, the receipt says \d+$/m);
    expect(replayed.stdout).to.match(/^NOT verified/m);
    expect(replayed.code).to.equal(4);
  });

  it('does not replay another program or input in the place of the ordered one', async () => {
    const loop = ['--replay', '--module', at('loop.wasm'), '--input', at('input')];
    const other = await bill('verify', at('good.json'), '--ca', at('ca.pem'), ...loop);
    expect(other.stdout).to.include('give that one by --module');
    expect(other.code).to.equal(4);
    const withoutInput = ['--replay', '--module', at('echo.wasm')];
    const empty = await bill('verify', at('good.json'), '--ca', at('ca.pem'), ...withoutInput);
    expect(empty.stdout).to.include('give that one by --input');
  });

  it('does not accept a foreign root', async () => {
    const { stdout, code } = await bill('verify', at('good.json'), '--ca', at('foreign.pem'));
    expect(stdout).to.match(/^failed +receipt\.chain: /m);
    expect(code).to.equal(4);
  });

  const failures: readonly [string, string[], number, string][] = [
    ['without a root', ['verify', 'good.json'], 2, '--ca'],
    [
      'to replay without a module',
      ['verify', 'good.json', '--ca', 'ca.pem', '--replay'],
      2,
      '--module',
    ],
    [
      'with a module but no replay',
      ['verify', 'good.json', '--ca', 'ca.pem', '--module', 'echo.wasm'],
      2,
      '--replay',
    ],
    ['with two roots', ['verify', 'good.json', '--ca', 'two.pem'], 1, 'exactly one certificate'],
    ['with a bill that is no bill', ['show', 'echo.wasm'], 1, 'no bill'],
    ['with a bill that is not there', ['show', 'missing.json'], 1, 'ENOENT'],
  ];
  for (const [title, args, exitCode, message] of failures) {
    it(`says what is wrong when called ${title}`, async () => {
      const paths = args.map((arg) => (/\.(json|pem|wasm)$/.test(arg) ? at(arg) : arg));
      const { stderr, code } = await bill(...paths);
      expect(stderr).to.include(message);
      expect(code).to.equal(exitCode);
    });
  }
});
