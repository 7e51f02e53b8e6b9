// Specification 3.5.1, malicious client: it submits any bytes as a module, to reach the owner's machine,
// to use it up, or to see other clients. A real control plane, a real agent and its real sandbox
// processes; what a guest is refused in detail is tested in test/sandbox.
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { expect } from 'chai';

import { Grant } from '#gen/gapjunction/job/v1/bill_pb';

import type { AgentFolder } from '../../agent/folder.ts';
import { uploadBlob } from '../../cli/blobs.ts';
import { sandboxReplay } from '../../cli/replay.ts';
import { buildGuests } from '../../examples/guests/build.ts';
import { endName } from '../../protocol/bill/ends.ts';
import { verifyBill } from '../../protocol/bill/verify.ts';
import { whenAll } from '../all.ts';
import { temporaryFolder } from '../fakes/agent.ts';
import {
  enrolIn,
  startAgent,
  startAgentWorld,
  type AgentWorld,
  type RunningAgent,
} from '../fakes/agent-world.ts';
import { failureOf } from '../fakes/failure.ts';
import { ClientOfJobs, NOTHING, REVERSE, wasmOf, type JobOptions } from '../fakes/job-client.ts';

const HOST_CALLS = `
  (import "gap_junction" "input_read" (func $read (param i32 i32 i32) (result i32)))
  (import "gap_junction" "output_write" (func $write (param i32 i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $log (param i32 i32 i32 i32) (result i32)))`;

/** Repeats the instructions for ever. */
const forEver = (instructions: string) => `(module ${HOST_CALLS}
  (memory (export "memory") 2)
  (func (export "run") (loop $again ${instructions} (br $again))))`;
const once = (instructions: string) => `(module ${HOST_CALLS}
  (memory (export "memory") 1)
  (func (export "run") ${instructions}))`;

const MIB = 2n ** 20n;
const FUEL = 20_000_000n;

/** What guests try, and how each of them ends. All of them replay. */
const ATTACKS: readonly (readonly [
  what: string,
  end: string,
  detail: string,
  text: string,
  options?: JobOptions,
])[] = [
  ['an endless loop', 'OUT_OF_FUEL', '', forEver('')],
  [
    'an endless loop with all the fuel there is',
    'DEADLINE_EXCEEDED',
    '',
    forEver(''),
    { limits: { fuel: 100_000_000_000n, deadlineEpochs: 5 } },
  ],
  [
    'a sleep of a hundred years',
    'DEADLINE_EXCEEDED',
    '',
    `(module
      (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 16) "\\01")
      (func (export "run")
        (i64.store (i32.const 24) (i64.const 3155760000000000000))
        (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
        (loop (br 0))))`,
    { limits: { fuel: 100_000_000_000n } },
  ],
  [
    'memory without end',
    'TRAPPED',
    'UNREACHABLE',
    once('(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)'),
    { limits: { memoryBytes: 16n * MIB } },
  ],
  [
    'output without end',
    'OUTPUT_TOO_LARGE',
    '',
    forEver('(call $write (i32.const 0) (i32.const 65536))'),
    { limits: { outputBytes: MIB } },
  ],
  [
    'logs without end',
    'OUT_OF_FUEL',
    '',
    forEver(`(i32.store (i32.const 4) (i32.const 65536))
      (drop (call $log (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))`),
    { grants: [Grant.DEBUG_LOGS], limits: { fuel: FUEL, logBytes: 65_536n } },
  ],
  [
    'a recursion without end',
    'TRAPPED',
    'STACK_OVERFLOW',
    '(module (func $deeper (export "run") (call $deeper)))',
  ],
  [
    'a host call that would write past its memory',
    'TRAPPED',
    'MEMORY_OUT_OF_BOUNDS',
    once('(drop (call $read (i32.const 65535) (i32.const 0) (i32.const 2)))'),
    { input: Buffer.from('two') },
  ],
  [
    'a host call that would read the host from -1',
    'TRAPPED',
    'MEMORY_OUT_OF_BOUNDS',
    once('(call $write (i32.const -1) (i32.const -1))'),
  ],
  [
    'a host call whose end wraps round',
    'TRAPPED',
    'MEMORY_OUT_OF_BOUNDS',
    once('(call $write (i32.const 16) (i32.const -8))'),
  ],
];

whenAll('threat: a malicious client', () => {
  let world: AgentWorld;
  let attacker: ClientOfJobs;
  let neighbour: ClientOfJobs;
  let folder: AgentFolder;
  let dispose: () => void;
  let agent: RunningAgent;
  before(async () => {
    world = await startAgentWorld();
    attacker = await ClientOfJobs.open(world.controlPlane);
    neighbour = await ClientOfJobs.open(world.controlPlane);
    ({ folder, dispose } = temporaryFolder());
    await enrolIn(world, folder);
    agent = startAgent(folder);
    await agent.record.next('ready');
  });
  after(async () => {
    await agent.stop();
    await world.stop();
    dispose();
  });
  afterEach('somebody else is served by the same agent as if nothing had been', async () => {
    const job = await neighbour.run(REVERSE, { input: Buffer.from('stressed') });
    expect(endName(job.end)).to.equal('SUCCEEDED');
    expect(Buffer.from(await neighbour.outputOf(job)).toString()).to.equal('desserts');
  });

  it('bytes that are no module never reach a node', async () => {
    const good = await wasmOf(NOTHING);
    const hostile: Readonly<Record<string, Uint8Array>> = {
      text: Buffer.from('#!/bin/sh\nrm -rf /'),
      'a module cut off': good.subarray(0, -1),
      'a module of four thousand million types': Buffer.from(
        '0061736d010000000106ffffffff0f60',
        'hex',
      ),
      'a component': Buffer.from('0061736d0d000100', 'hex'),
    };
    for (const [what, bytes] of Object.entries(hostile)) {
      const refused = await failureOf(attacker.register(bytes));
      expect(refused, what).to.include({ code: 'InvalidArgument', reason: 'MODULE_REFUSED' });
      expect(refused.metadata, what).to.include.keys('offset', 'cause');
      const digest = await uploadBlob(attacker.blobs, bytes);
      const submitted = await failureOf(attacker.submitModule(digest));
      expect(submitted, what).to.include({ code: 'NotFound', reason: 'MODULE_UNKNOWN' });
    }
  });

  it('a module that asks for a function of the host is told which, before any node sees it', async () => {
    const bytes = await wasmOf(
      '(module (import "process" "exit" (func (param i32))) (func (export "run")))',
    );
    const refused = await failureOf(attacker.register(bytes));
    expect(refused).to.include({ code: 'InvalidArgument', reason: 'MODULE_REFUSED' });
    expect(refused.metadata['cause']).to.contain('process.exit');
    expect(refused.metadata['offset']).to.equal('21');
  });

  it('a program that reaches for files, sockets and the environment gets nothing', async () => {
    const { reach } = await buildGuests();
    const digest = await attacker.register(await readFile(reach));
    const { job } = await attacker.watch(await attacker.submitModule(digest));
    expect(endName(job.end)).to.equal('SUCCEEDED');
    const lines = Buffer.from(await attacker.outputOf(job))
      .toString()
      .trim()
      .split('\n');
    expect(lines).to.have.length.above(5);
    expect(lines.filter((line) => line.includes('allowed'))).to.deep.equal([]);
  });

  for (const [what, end, detail, text, { limits, ...options } = {}] of ATTACKS) {
    it(`${what}: ${end}, paid for, and the bill replays`, async () => {
      const { job, bill } = await attacker.watch(
        await attacker.submit(text, { limits: { fuel: FUEL, ...limits }, ...options }),
      );
      expect({ end: endName(job.end), detail: job.endDetail }).to.deep.equal({ end, detail });
      expect(job.output?.sizeBytes ?? 0n, 'nothing of the host comes back').to.equal(0n);
      expect(job.fuel <= (job.limits?.fuel ?? 0n)).to.equal(true);
      expect(job.chargeMicrocents > 0n, 'nobody computes for free').to.equal(true);
      if (bill === undefined) throw new Error('The job has no bill');
      const report = await verifyBill(bill, {
        rootCertificate: new X509Certificate(world.controlPlane.ca),
        replay: sandboxReplay({
          module: await wasmOf(text),
          input: options.input ?? new Uint8Array(),
        }),
      });
      expect(report.checks.filter(({ status }) => status !== 'ok')).to.deep.equal([]);
    });
  }

  it('finds nothing of another client: not its jobs, bills, modules, blobs or memory', async () => {
    const secret = Buffer.from('a secret of the neighbour');
    const job = await neighbour.run(REVERSE, { input: secret });
    const { jobId } = job;
    const calls: Readonly<Record<string, Promise<unknown>>> = {
      getJob: attacker.jobs.getJob({ jobId }),
      cancelJob: attacker.jobs.cancelJob({ jobId }),
      getBill: attacker.jobs.getBill({ jobId }),
      watchJob: attacker.watch(jobId),
      submitJob: attacker.submitModule(job.module?.digest ?? new Uint8Array(), { input: secret }),
      output: attacker.outputOf(job),
    };
    for (const [what, call] of Object.entries(calls)) {
      expect((await failureOf(call)).code, what).to.equal('NotFound');
    }
    const { job: look } = await attacker.watch(
      await attacker.submit(once('(call $write (i32.const 0) (i32.const 65536))')),
    );
    const memory = await attacker.outputOf(look);
    expect(memory.length).to.equal(65_536);
    expect(memory.every((byte) => byte === 0)).to.equal(true);
  });
});
