import { expect } from 'chai';
import { ECHO, HOST_CALLS, LOOP, specOf, wasm } from './guests.ts';
import { withPool } from './pool.ts';

const text = new TextEncoder();

/** A guest with a page of memory whose `run` has this body. */
async function guest(body: string, { memory = '1', extra = '' } = {}): Promise<Uint8Array> {
  return await wasm(`(module ${HOST_CALLS} (memory (export "memory") ${memory}) ${extra}
    (func (export "run") ${body}))`);
}

/** A WASI command whose `_start` exits with `code`. */
async function exiting(code: number): Promise<Uint8Array> {
  return await wasm(`(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const ${code}))))`);
}

describe('how a guest ends', () => {
  const { run, pool } = withPool();

  it('SUCCEEDED: gives its output and the exact fuel, operator by operator', async () => {
    const input = text.encode('hello');
    const outcome = await run(specOf(await wasm(ECHO), { input }));
    expect(outcome).to.include({ end: 'SUCCEEDED', detail: '', peakMemoryPages: 1 });
    expect(Buffer.from(outcome.output).toString()).to.equal('hello');
    // Entry 1; three operands and a call 4; 100 + 5 bytes read; local.set 1; two operands and a call 3;
    // 100 + 5 bytes written.
    expect(outcome.fuel).to.equal(1n + 4n + 105n + 1n + 3n + 105n);
  });

  it('the same fuel and output cold, warm, and in another process', async () => {
    const spec = specOf(await wasm(ECHO), { input: text.encode('again and again') });
    const first = await run(spec);
    expect(await run(spec), 'warm').to.deep.equal(first);
    expect(await pool().run('another key', spec), 'in another process').to.deep.equal(first);
  });

  it('SUCCEEDED: a command that exits with 0', async () => {
    expect(await run(specOf(await exiting(0), { entry: 'START' }))).to.include({
      end: 'SUCCEEDED',
      detail: '',
    });
  });

  it('GUEST_FAILED: a command that exits with another code tells which', async () => {
    expect(await run(specOf(await exiting(3), { entry: 'START' }))).to.include({
      end: 'GUEST_FAILED',
      detail: 'EXIT_CODE_3',
    });
    expect(await run(specOf(await exiting(-1), { entry: 'START' }))).to.include({
      detail: 'EXIT_CODE_4294967295',
    });
  });

  it('OUT_OF_FUEL: an endless loop costs its budget and not one more', async () => {
    const outcome = await run(specOf(await wasm(LOOP), { limits: { fuel: 12_345_678n } }));
    expect(outcome).to.include({ end: 'OUT_OF_FUEL', fuel: 12_345_678n, stopStateDigest: null });
  });

  it('OUT_OF_FUEL: a budget equal to the cost runs out, as one more does not', async () => {
    const module = await wasm(ECHO);
    const enough = await run(specOf(module, { limits: { fuel: 210n } }));
    expect(enough).to.include({ end: 'SUCCEEDED', fuel: 209n });
    const short = await run(specOf(module, { limits: { fuel: 209n } }));
    expect(short).to.include({ end: 'OUT_OF_FUEL', fuel: 209n });
  });

  it('OUTPUT_TOO_LARGE: a flood ends at the cap, charged, without a result', async () => {
    const flood = await guest(
      '(loop $again (call $output_write (i32.const 0) (i32.const 65536)) (br $again))',
    );
    const outcome = await run(specOf(flood, { limits: { outputBytes: 1_000_000 } }));
    expect(outcome.end).to.equal('OUTPUT_TOO_LARGE');
    // 15 writes fit; the sixteenth was paid for and then refused.
    expect(Number(outcome.fuel)).to.be.greaterThan(16 * 65_636);
    expect(outcome.output.byteLength).to.equal(0);
  });

  it('an output of exactly the cap is given', async () => {
    const module = await guest('(call $output_write (i32.const 0) (i32.const 65536))');
    const outcome = await run(specOf(module, { limits: { outputBytes: 65_536 } }));
    expect(outcome.end).to.equal('SUCCEEDED');
    expect(outcome.output.byteLength).to.equal(65_536);
  });

  const traps: Record<string, { body: string; extra?: string }> = {
    UNREACHABLE: { body: 'unreachable' },
    MEMORY_OUT_OF_BOUNDS: { body: '(drop (i32.load (i32.const 65536)))' },
    INTEGER_DIVISION_BY_ZERO: { body: '(drop (i32.div_s (i32.const 1) (i32.const 0)))' },
    INTEGER_OVERFLOW: { body: '(drop (i32.div_s (i32.const -2147483648) (i32.const -1)))' },
    BAD_CONVERSION_TO_INTEGER: { body: '(drop (i32.trunc_f32_s (f32.const nan)))' },
    TABLE_OUT_OF_BOUNDS: {
      body: '(call_indirect (i32.const 9))',
      extra: '(table 1 funcref)',
    },
    BAD_SIGNATURE: { body: '(call_indirect (i32.const 0))', extra: '(table 1 funcref)' },
    STACK_OVERFLOW: { body: '(call $deep)', extra: '(func $deep (call $deep))' },
  };
  for (const [name, { body, extra = '' }] of Object.entries(traps)) {
    it(`TRAPPED: says ${name}`, async () => {
      const outcome = await run(specOf(await guest(body, { extra })));
      expect(outcome).to.include({ end: 'TRAPPED', detail: name });
    });
  }

  it('TRAPPED: a host call on memory that the guest does not have', async () => {
    const module = await guest('(call $output_write (i32.const 65530) (i32.const 7))');
    expect(await run(specOf(module))).to.include({
      end: 'TRAPPED',
      detail: 'MEMORY_OUT_OF_BOUNDS',
    });
  });

  it('TRAPPED: data that does not fit its memory, before anything ran', async () => {
    const module = await guest('', { extra: '(data (i32.const 65536) "x")' });
    expect(await run(specOf(module))).to.include({
      end: 'TRAPPED',
      detail: 'MEMORY_OUT_OF_BOUNDS',
      fuel: 0n,
    });
  });

  it('growth stops at the cap with -1, and the peak is told', async () => {
    const module = await guest(
      `(loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))))`,
    );
    const outcome = await run(specOf(module, { limits: { memoryBytes: 10 * 65_536 + 65_535 } }));
    expect(outcome).to.include({ end: 'SUCCEEDED', peakMemoryPages: 10 });
  });

  it('input can be read again, from any offset, and ends where it ends', async () => {
    const module = await guest(
      `(i32.store (i32.const 0) (call $input_size))
       (i32.store (i32.const 4) (call $input_read (i32.const 100) (i32.const 2) (i32.const 50)))
       (i32.store (i32.const 8) (call $input_read (i32.const 200) (i32.const 0) (i32.const 2)))
       (i32.store (i32.const 12) (call $input_read (i32.const 100) (i32.const 5) (i32.const 1)))
       (i32.store (i32.const 16) (call $input_read (i32.const 100) (i32.const -1) (i32.const 1)))
       (call $output_write (i32.const 0) (i32.const 20))
       (call $output_write (i32.const 100) (i32.const 3))
       (call $output_write (i32.const 200) (i32.const 2))`,
    );
    const { output } = await run(specOf(module, { input: text.encode('abcde') }));
    expect([...new Uint32Array(output.slice(0, 20).buffer)]).to.deep.equal([5, 3, 2, 0, 0]);
    expect(Buffer.from(output.subarray(20)).toString()).to.equal('cdeab');
  });

  it('a start function and _initialize run before run, and are paid for', async () => {
    const module = await wasm(`(module ${HOST_CALLS}
      (memory (export "memory") 1)
      (func $start (i32.store8 (i32.const 0) (i32.const 97)))
      (start $start)
      (func (export "_initialize") (i32.store8 (i32.const 1) (i32.const 98)))
      (func (export "run") (call $output_write (i32.const 0) (i32.const 2))))`);
    const outcome = await run(specOf(module));
    expect(Buffer.from(outcome.output).toString()).to.equal('ab');
    expect(outcome.fuel).to.equal(4n + 4n + 4n + 102n);
  });

  it('a guest that recurses deep in one run leaves the next run its whole stack', async () => {
    const deep = await guest('(call $deep)', { extra: '(func $deep (call $deep))' });
    expect((await run(specOf(deep))).end).to.equal('TRAPPED');
    expect((await run(specOf(await wasm(ECHO)))).end).to.equal('SUCCEEDED');
  });
});

describe('INVALID_MODULE says why', () => {
  const { run } = withPool(1);

  const modules: Record<string, { wat: string; says: RegExp; entry?: 'START' | 'RUN' }> = {
    'an unknown module': {
      wat: '(module (import "env" "x" (func)) (func (export "run")))',
      says: /imports env\.x: only wasi_snapshot_preview1 and gap_junction exist here/,
    },
    'an unknown function': {
      wat: '(module (import "gap_junction" "steal" (func)) (func (export "run")))',
      says: /imports gap_junction\.steal, which does not exist/,
    },
    'a name of every JavaScript object': {
      wat: '(module (import "gap_junction" "constructor" (func)) (func (export "run")))',
      says: /imports gap_junction\.constructor, which does not exist/,
    },
    'a known function with another type': {
      wat: '(module (import "wasi_snapshot_preview1" "fd_read" (func (param i64))) (func (export "run")))',
      says: /fd_read with another type than \(i32, i32, i32, i32\) -> \(i32\)/,
    },
    'an imported memory': {
      wat: '(module (import "gap_junction" "memory" (memory 1)) (func (export "run")))',
      says: /imports the memory gap_junction\.memory/,
    },
    'an imported table': {
      wat: '(module (import "gap_junction" "t" (table 1 funcref)) (func (export "run")))',
      says: /imports the table/,
    },
    'an imported global': {
      wat: '(module (import "gap_junction" "g" (global i32)) (func (export "run")))',
      says: /imports the global/,
    },
    'no entry': { wat: '(module)', says: /exports no run/ },
    'an entry that is no function': {
      wat: '(module (memory (export "run") 1))',
      says: /export run is no function of type \(\) -> \(\)/,
    },
    'an entry with parameters': {
      wat: '(module (func (export "_start") (param i32)))',
      entry: 'START',
      says: /export _start is no function/,
    },
    'a memory that begins above the cap': {
      wat: '(module (memory 5000) (func (export "run")))',
      says: /5000/,
    },
  };
  for (const [name, { wat, says, entry = 'RUN' }] of Object.entries(modules)) {
    it(name, async () => {
      const outcome = await run(specOf(await wasm(wat), { entry }));
      expect(outcome).to.include({ end: 'INVALID_MODULE', fuel: 0n });
      expect(outcome.detail).to.match(says);
    });
  }

  const bytes: Record<string, { bytes: number[]; says: RegExp }> = {
    'no bytes at all': { bytes: [], says: /at byte 0/ },
    text: { bytes: [...text.encode('#!/bin/sh')], says: /at byte 0/ },
    'a component': { bytes: [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0], says: /component/ },
    'a body that does not type-check': {
      bytes: [
        0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 7, 7, 1, 3, 114, 117, 110,
        0, 0, 10, 6, 1, 4, 0, 0x41, 0, 0x0b,
      ],
      says: /at byte \d+/,
    },
  };
  for (const [name, { bytes: module, says }] of Object.entries(bytes)) {
    it(name, async () => {
      const outcome = await run(specOf(Uint8Array.from(module)));
      expect(outcome.end).to.equal('INVALID_MODULE');
      expect(outcome.detail).to.match(says);
    });
  }

  it('in a text that a receipt can carry, whatever the guest chose as names', async () => {
    const name = 'x\\07\\u{1F600}'.repeat(80);
    const outcome = await run(
      specOf(await wasm(`(module (import "gap_junction" "${name}" (func)) (func (export "run")))`)),
    );
    expect(outcome.end).to.equal('INVALID_MODULE');
    expect(Buffer.byteLength(outcome.detail)).to.be.at.most(200);
    expect(outcome.detail).to.not.match(/\p{Cc}/u);
  });

  it('and leaves the process for the next guest', async () => {
    expect((await run(specOf(await wasm(ECHO)))).end).to.equal('SUCCEEDED');
  });
});
