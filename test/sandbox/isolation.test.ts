import { expect } from 'chai';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SandboxPool } from '../../sandbox/sandbox.ts';
import { realTimers } from '../../sandbox/engine/clock.ts';
import { SANDBOX_ARGUMENTS } from '../../sandbox/engine/sandbox-process.ts';
import { writeRun, hexDigestOf } from '../../sandbox/engine/messages.ts';
import { ECHO, HOST_CALLS, LOOP, specOf, wasm } from './guests.ts';
import { withPool } from './pool.ts';

const PROBE = join(import.meta.dirname, 'probe');
const ENGINE = join(import.meta.dirname, '../../sandbox/engine');
const onLinux = process.platform === 'linux' ? it : it.skip;

describe('a sandbox process', () => {
  it('can neither read, write, connect, spawn nor widen its rights, from its guest thread', async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...SANDBOX_ARGUMENTS, `--allow-fs-read=${PROBE}/`, join(PROBE, 'main.ts')],
      { env: {} },
    );
    expect(JSON.parse(stdout)).to.deep.equal({
      'read a file': 'ERR_ACCESS_DENIED',
      'list a folder': 'ERR_ACCESS_DENIED',
      'write a file': 'ERR_ACCESS_DENIED',
      'write to its own source': 'ERR_ACCESS_DENIED',
      'open a database': 'ERR_UNKNOWN_BUILTIN_MODULE',
      'start a process': 'ERR_ACCESS_DENIED',
      'connect to a port': 'ERR_ACCESS_DENIED',
      'connect to a socket file': 'ERR_ACCESS_DENIED',
      'listen on a port': 'ERR_ACCESS_DENIED',
      'send a datagram': 'ERR_ACCESS_DENIED',
      'look up a name': 'ERR_ACCESS_DENIED',
      'fetch a page': 'ERR_ACCESS_DENIED',
      'open the inspector': 'ERR_ACCESS_DENIED',
      'load an addon': 'ERR_DLOPEN_DISABLED',
      'have WASI of Node': 'ERR_ACCESS_DENIED',
      'make code from text': 'Code generation from strings disallowed for this context',
      'start a worker with more rights': 'exit 1',
      'see an environment variable': 'none',
    });
  });

  onLinux('has an empty environment and no argument that came from a job', async () => {
    const pool = new SandboxPool({ maxProcesses: 1, idleMs: 60_000 });
    try {
      await pool.run('secret-key-name', specOf(await wasm(ECHO)));
      const pid = pool.processes()[0]?.pid;
      expect(await readFile(`/proc/${pid}/environ`, 'utf8')).to.equal('');
      const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8');
      expect(commandLine).to.include('--permission').and.not.include('secret-key-name');
    } finally {
      await pool.close();
    }
  });

  onLinux('holds no file that its agent has open', async () => {
    const pool = new SandboxPool({ maxProcesses: 1, idleMs: 60_000 });
    const secret = await open(import.meta.filename);
    try {
      await pool.run('key', specOf(await wasm(ECHO)));
      const folder = `/proc/${pool.processes()[0]?.pid}/fd`;
      const held = await Promise.all(
        (await readdir(folder)).map((name) => readlink(join(folder, name)).catch(() => 'closed')),
      );
      expect(held).to.not.include(import.meta.filename);
      expect(held.filter((name) => name.startsWith('/') && name !== '/dev/null')).to.deep.equal([]);
    } finally {
      await secret.close();
      await pool.close();
    }
  });

  it('ends when its agent is gone, also while a guest loops', async () => {
    const child = spawn(
      process.execPath,
      [...SANDBOX_ARGUMENTS, join(ENGINE, 'control-thread.ts')],
      { env: {}, stdio: ['pipe', 'pipe', 'pipe'] },
    );
    const echo = specOf(await wasm(ECHO));
    writeRun(child.stdin, echo, { moduleDigest: hexDigestOf(echo), withModule: true });
    await once(child.stdout, 'data');
    const loop = specOf(await wasm(LOOP), { limits: { fuel: 2n ** 62n } });
    writeRun(child.stdin, loop, { moduleDigest: hexDigestOf(loop), withModule: true });
    child.stdin.end();
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).to.equal(0);
  });
});

describe('the pool', () => {
  const { pool, run } = withPool(2);

  it('runs two keys in two processes, and one key again in its own', async () => {
    const echo = specOf(await wasm(ECHO));
    await pool().run('a', echo);
    await pool().run('b', echo);
    const before = pool().processes();
    expect(new Set(before.map(({ pid }) => pid)).size).to.equal(2);
    await pool().run('a', echo);
    expect(pool().processes()).to.deep.equal(before);
  });

  it('ends an idle process before another key gets its place', async () => {
    const echo = specOf(await wasm(ECHO));
    await pool().run('a', echo);
    await pool().run('b', echo);
    const before = new Set(
      pool()
        .processes()
        .map(({ pid }) => pid),
    );
    await pool().run('c', echo);
    const ofC = pool()
      .processes()
      .find(({ isolationKey }) => isolationKey === 'c');
    expect(before.has(ofC?.pid)).to.equal(false);
    expect(pool().processes()).to.have.length(2);
  });

  it('never has more processes than allowed, and serves all who wait', async () => {
    const echo = specOf(await wasm(ECHO));
    const keys = ['a', 'b', 'c', 'd', 'a', 'b'];
    const running = keys.map(async (key) => {
      const outcome = await pool().run(key, echo);
      expect(pool().processes().length).to.be.at.most(2);
      return outcome.end;
    });
    expect(await Promise.all(running)).to.deep.equal(keys.map(() => 'SUCCEEDED'));
  });

  it('gives up waiting for one who cancels', async () => {
    const loop = specOf(await wasm(LOOP), { limits: { fuel: 2n ** 62n } });
    const [first, second, third] = [0, 1, 2].map(() => new AbortController());
    const running = [first, second, third].map((cancel) =>
      pool().run('a', loop, { signal: cancel!.signal }),
    );
    third!.abort();
    expect(await running[2]).to.include({ end: 'CANCELLED', detail: 'KILLED', fuel: 0n });
    first!.abort();
    second!.abort();
    expect((await Promise.all(running)).map(({ end }) => end)).to.deep.equal(
      running.map(() => 'CANCELLED'),
    );
  });

  it('NODE_FAULT when the process dies under a guest; the next guest gets a new one', async () => {
    const running = run(specOf(await wasm(LOOP), { limits: { fuel: 2n ** 62n } }));
    const busy = pool()
      .processes()
      .find(({ isIdle }) => !isIdle);
    process.kill(busy!.pid!, 'SIGKILL');
    expect(await running).to.include({ end: 'NODE_FAULT', detail: 'SANDBOX_DIED', fuel: 0n });
    expect((await run(specOf(await wasm(ECHO)))).end).to.equal('SUCCEEDED');
  });

  it('carries nothing of a guest over to the next: memory, globals, tables, output, random', async () => {
    const module = await wasm(`(module ${HOST_CALLS}
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (memory (export "memory") 1)
      (global $runs (mut i32) (i32.const 0))
      (func (export "run")
        (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
        (i32.store (i32.const 4) (global.get $runs))
        (drop (call $random (i32.const 8) (i32.const 8)))
        (call $output_write (i32.const 0) (i32.const 16))))`);
    const first = await run(specOf(module));
    expect(await run(specOf(module))).to.deep.equal(first);
    expect([...first.output.subarray(0, 8)]).to.deep.equal([1, 0, 0, 0, 1, 0, 0, 0]);
  });

  it('forgets modules that it has not seen for long, and asks for them again', async () => {
    const modules = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        wasm(`(module (memory 1) (func (export "run") (drop (i32.const ${n}))))`),
      ),
    );
    for (const module of [...modules, ...modules]) {
      expect((await run(specOf(module))).end).to.equal('SUCCEEDED');
    }
  });

  it('refuses a spec that no sandbox accepts, before anything starts', async () => {
    const module = await wasm(ECHO);
    const refused = [
      specOf(module, { seed: new Uint8Array(31) }),
      specOf(module, { limits: { fuel: 0n } }),
      specOf(module, { limits: { fuel: 2n ** 62n + 1n } }),
      specOf(module, { limits: { epochs: 0 } }),
      specOf(module, { limits: { epochs: 1.5 } }),
      specOf(module, { limits: { outputBytes: 65 * 1024 * 1024 } }),
      specOf(new Uint8Array(16 * 1024 * 1024 + 1)),
    ];
    for (const spec of refused) {
      const error = await run(spec).then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error).to.be.instanceOf(RangeError);
    }
  });

  it('a wrong digest is found out by the sandbox, not believed', async () => {
    const module = await wasm(ECHO);
    const outcome = await run(specOf(module, { moduleDigest: new Uint8Array(32) }));
    expect(outcome.end).to.equal('INVALID_MODULE');
    expect(outcome.detail).to.match(/digest/);
  });

  it('ends a process that was idle for as long as it was told', async () => {
    const timers: { ms: number; fire: () => void }[] = [];
    const own = new SandboxPool({
      maxProcesses: 1,
      idleMs: 1234,
      timers: {
        ...realTimers,
        after(ms, fire) {
          const timer = { ms, fire };
          timers.push(timer);
          return () => timers.splice(timers.indexOf(timer), 1);
        },
      },
    });
    try {
      await own.run('a', specOf(await wasm(ECHO)));
      expect(timers.map(({ ms }) => ms)).to.deep.equal([1234]);
      timers[0]!.fire();
      expect(own.processes()).to.deep.equal([]);
    } finally {
      await own.close();
    }
  });

  it('closed, it runs nothing, and what ran is a fault', async () => {
    const own = new SandboxPool({ maxProcesses: 1, idleMs: 60_000 });
    const loop = specOf(await wasm(LOOP), { limits: { fuel: 2n ** 62n } });
    const running = own.run('a', loop);
    const waiting = own.run('b', loop).catch((error: Error) => error.message);
    await own.close();
    expect(await running).to.include({ end: 'NODE_FAULT', detail: 'SANDBOX_DIED' });
    expect(await waiting).to.match(/closed/);
    expect(await own.run('a', loop).catch((error: Error) => error.message)).to.match(/closed/);
  });
});
