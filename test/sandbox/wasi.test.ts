import { expect } from 'chai';
import { WASI_MODULE } from '../../metering/metering.ts';
import { CAPABILITIES } from '../../sandbox/capabilities.ts';
import { specOf, wasiGuest, wasm, words } from './guests.ts';
import { withPool } from './pool.ts';
import { BADF, INVAL, SUCCESS, answers, call } from './wasi-answers.ts';

const text = new TextEncoder();

describe('WASI preview 1', () => {
  const { run } = withPool(1);

  it('has the 46 functions of the snapshot, so that every program links', () => {
    const functions = [...CAPABILITIES.get(WASI_MODULE)!.keys()];
    expect(functions).to.have.length(46);
    expect(functions).to.include.members(['proc_raise', 'sock_accept', 'sched_yield']);
  });

  it('no argument but a name, no environment', async () => {
    const { errnos, memory } = await answers(
      run,
      [
        call('args_sizes_get', 0, 4),
        call('environ_sizes_get', 8, 12),
        call('args_get', 16, 24),
        call('environ_get', 20, 32),
      ],
      { data: words(9, 9, 9, 9), showBytes: 32 },
    );
    expect(errnos).to.deep.equal([SUCCESS, SUCCESS, SUCCESS, SUCCESS]);
    const numbers = new Uint32Array(memory.slice().buffer);
    expect([...numbers.subarray(0, 5)]).to.deep.equal([1, 6, 0, 0, 24]);
    expect(Buffer.from(memory.subarray(24, 30)).toString()).to.equal('guest\0');
  });

  it('wall time is always 0, the monotonic clock is fuel, and no other clock exists', async () => {
    const { errnos, memory } = await answers(
      run,
      [
        call('clock_time_get', 0, 1n, 0),
        call('clock_time_get', 1, 1n, 8),
        call('clock_time_get', 1, 1n, 16),
        call('clock_res_get', 1, 24),
        call('clock_time_get', 2, 1n, 32),
        call('clock_time_get', 3, 1n, 32),
      ],
      { data: words(7, 7), showBytes: 32 },
    );
    expect(errnos).to.deep.equal([SUCCESS, SUCCESS, SUCCESS, SUCCESS, INVAL, INVAL]);
    const times = new BigUint64Array(memory.slice().buffer);
    expect(times[0]).to.equal(0n);
    // Entry 1; per call: the address to store at, three operands, the call, 108, and the store.
    expect(times[1]).to.equal(1n + 5n + 108n + 1n + 5n + 108n);
    expect(times[2]! - times[1]!).to.equal(1n + 5n + 108n);
    expect(times[3]).to.equal(1n);
  });

  it('random bytes are the key stream of the seed, in order', async () => {
    const { memory } = await answers(run, [call('random_get', 0, 5), call('random_get', 5, 43)], {
      showBytes: 48,
    });
    // From another implementation: HKDF of Python's hmac, AES-256-CTR of the openssl command.
    expect(Buffer.from(memory).toString('hex')).to.equal(
      '5b7f3b73ec46229c4a4dfc1f968877c24cd566beb23b58023ac3e1397798632ffe811bb438a913bacd9a1797336688ee',
    );
  });

  it('stdin gives the input once, in order, over several vectors', async () => {
    const vectors = words(200, 3, 210, 4);
    const { errnos, memory } = await answers(
      run,
      [call('fd_read', 0, 0, 2, 64), call('fd_read', 0, 0, 2, 68), call('fd_read', 0, 0, 2, 72)],
      { data: vectors, showBytes: 220, input: text.encode('abcdefghij') },
    );
    expect(errnos).to.deep.equal([SUCCESS, SUCCESS, SUCCESS]);
    expect([...new Uint32Array(memory.slice(64, 76).buffer)]).to.deep.equal([7, 3, 0]);
    expect(Buffer.from(memory.subarray(200, 203)).toString()).to.equal('hij');
    expect(Buffer.from(memory.subarray(210, 214)).toString()).to.equal('defg');
  });

  it('stdout is the result only where granted, and logs only in debug mode', async () => {
    const module = await wasm(`(module
      (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\\10\\00\\00\\00\\03\\00\\00\\00out err")
      (data (i32.const 16) "out")
      (data (i32.const 24) "\\20\\00\\00\\00\\03\\00\\00\\00err")
      (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
        (drop (call $write (i32.const 2) (i32.const 24) (i32.const 1) (i32.const 100)))))`);
    const seen = async (stdoutAsResult: boolean, debugLogs: boolean) => {
      const outcome = await run(
        specOf(module, { entry: 'START', grants: { stdoutAsResult, debugLogs } }),
      );
      return {
        output: Buffer.from(outcome.output).toString(),
        logs: Buffer.from(outcome.logs).toString(),
        fuel: outcome.fuel,
      };
    };
    const none = await seen(false, false);
    expect(none).to.include({ output: '', logs: '' });
    expect(await seen(true, false)).to.deep.equal({ ...none, output: 'out' });
    expect(await seen(false, true)).to.deep.equal({ ...none, logs: 'outerr' });
    expect(await seen(true, true)).to.deep.equal({ ...none, output: 'out', logs: 'outerr' });
  });

  it('a flood of logs is cut at its bound and ends nothing', async () => {
    const module = await wasm(`(module
      (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\\10\\00\\00\\00\\00\\10\\00\\00")
      (func (export "_start") (local $n i32)
        (loop $again
          (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
          (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))
            (i32.const 1000))))))`);
    const outcome = await run(
      specOf(module, { entry: 'START', grants: { debugLogs: true }, limits: { logBytes: 10_000 } }),
    );
    expect(outcome.end).to.equal('SUCCEEDED');
    expect(outcome.logs.byteLength).to.equal(10_000);
  });

  it('a stream that was closed is gone; closing it twice is an error', async () => {
    const { errnos } = await answers(run, [
      call('fd_close', 0),
      call('fd_close', 0),
      call('fd_read', 0, 0, 0, 8),
      call('fd_fdstat_get', 0, 8),
    ]);
    expect(errnos).to.deep.equal([SUCCESS, BADF, BADF, BADF]);
  });

  it('a sleep passes at once on its own clock; streams are ready at once', async () => {
    const subscriptions = new DataView(new ArrayBuffer(144));
    subscriptions.setBigUint64(0, 11n, true);
    subscriptions.setUint32(16, 1, true);
    subscriptions.setBigUint64(24, 5_000_000n, true);
    subscriptions.setBigUint64(48, 22n, true);
    subscriptions.setUint8(56, 1);
    subscriptions.setUint32(64, 0, true);
    subscriptions.setBigUint64(96, 33n, true);
    subscriptions.setUint8(104, 2);
    subscriptions.setUint32(112, 7, true);
    const { errnos, memory, outcome } = await answers(
      run,
      [
        call('poll_oneoff', 0, 200, 1, 400),
        call('clock_time_get', 1, 1n, 408),
        call('poll_oneoff', 0, 200, 3, 404),
      ],
      { data: new Uint8Array(subscriptions.buffer), showBytes: 416, input: text.encode('four') },
    );
    expect(errnos).to.deep.equal([SUCCESS, SUCCESS, SUCCESS]);
    const view = new DataView(memory.slice().buffer);
    expect(outcome.sleptNs).to.equal(5_000_000n);
    expect(view.getUint32(400, true)).to.equal(1);
    expect(Number(view.getBigUint64(408, true))).to.be.within(5_000_000, 5_001_000);
    // The streams came at once, so nothing was slept: 4 bytes to read, and a descriptor that is none.
    expect(view.getUint32(404, true)).to.equal(2);
    expect(view.getBigUint64(200, true)).to.equal(22n);
    expect(view.getBigUint64(216, true)).to.equal(4n);
    expect(view.getBigUint64(232, true)).to.equal(33n);
    expect(view.getUint16(240, true)).to.equal(BADF);
  });

  it('vectors that overlap are filled one after another, the later one on top', async () => {
    const { memory } = await answers(run, [call('fd_read', 0, 0, 2, 60)], {
      data: words(100, 4, 102, 4),
      showBytes: 110,
      input: text.encode('abcdefgh'),
    });
    expect(Buffer.from(memory.subarray(100, 106)).toString()).to.equal('abefgh');
  });

  it('a call that cannot be paid leaves memory as it was', async () => {
    const module = await wasiGuest([call('random_get', 0, 1000)]);
    const spec = specOf(module, { stopStateAtOutOfFuel: true });
    const before = await run({ ...spec, limits: { ...spec.limits, fuel: 2n } });
    const during = await run({ ...spec, limits: { ...spec.limits, fuel: 1000n } });
    expect(during).to.include({ end: 'OUT_OF_FUEL', fuel: 1000n });
    expect(during.stopStateDigest).to.deep.equal(before.stopStateDigest);
  });
});
