import { expect } from 'chai';
import { CAPABILITIES, WASI_MODULE } from '../../sandbox/capabilities.ts';
import { readWasiOutput, specOf, wasiGuest, wasm, words } from './guests.ts';
import type { WasiCall } from './guests.ts';
import { withPool } from './pool.ts';

const text = new TextEncoder();
const SUCCESS = 0;
const BADF = 8;
const FAULT = 21;
const INVAL = 28;
const NOTDIR = 54;
const NOTSOCK = 57;
const NOTSUP = 58;
const SPIPE = 70;
const NOTCAPABLE = 76;

const call = (name: string, ...args: (number | bigint)[]): WasiCall => ({ name, args });

describe('WASI preview 1', () => {
  const { run } = withPool(1);

  async function answers(
    calls: readonly WasiCall[],
    {
      data,
      showBytes = 0,
      input,
      grants,
    }: {
      data?: Uint8Array;
      showBytes?: number;
      input?: Uint8Array;
      grants?: { stdoutAsResult?: boolean; debugLogs?: boolean };
    } = {},
  ) {
    const module = await wasiGuest(calls, { ...(data && { data }), showBytes });
    const outcome = await run(
      specOf(module, { ...(input && { input }), ...(grants && { grants }) }),
    );
    expect(outcome).to.include({ end: 'SUCCEEDED' });
    return { ...readWasiOutput(outcome.output, calls.length), outcome };
  }

  it('has the 46 functions of the snapshot, so that every program links', () => {
    const functions = [...CAPABILITIES.get(WASI_MODULE)!.keys()];
    expect(functions).to.have.length(46);
    expect(functions).to.include.members(['proc_raise', 'sock_accept', 'sched_yield']);
  });

  it('no argument but a name, no environment', async () => {
    const { errnos, memory } = await answers(
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
    const { memory } = await answers([call('random_get', 0, 5), call('random_get', 5, 43)], {
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
    const { errnos } = await answers([
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

  const denied: [what: string, call: WasiCall, errno: number][] = [
    ['opening a file under no folder', call('path_open', 3, 0, 0, 4, 0, 0n, 0n, 0, 8), BADF],
    ['opening a file under stdin', call('path_open', 0, 0, 0, 4, 0, 0n, 0n, 0, 8), NOTDIR],
    ['a preopened folder', call('fd_prestat_get', 3, 0), BADF],
    ['the name of a preopened folder', call('fd_prestat_dir_name', 3, 0, 4), BADF],
    ['making a folder', call('path_create_directory', 3, 0, 4), BADF],
    ['looking at a file', call('path_filestat_get', 3, 0, 0, 4, 8), BADF],
    ['dating a file', call('path_filestat_set_times', 3, 0, 0, 4, 0n, 0n, 0), BADF],
    ['linking', call('path_link', 3, 0, 0, 4, 3, 0, 4), BADF],
    ['linking by name', call('path_symlink', 0, 4, 1, 0, 4), NOTDIR],
    ['reading a link', call('path_readlink', 3, 0, 4, 0, 4, 8), BADF],
    ['removing a folder', call('path_remove_directory', 3, 0, 4), BADF],
    ['renaming', call('path_rename', 3, 0, 4, 3, 0, 4), BADF],
    ['deleting', call('path_unlink_file', 3, 0, 4), BADF],
    ['accepting', call('sock_accept', 3, 0, 8), BADF],
    ['accepting on stdin', call('sock_accept', 0, 0, 8), NOTSOCK],
    ['receiving', call('sock_recv', 0, 0, 0, 0, 8, 8), NOTSOCK],
    ['sending', call('sock_send', 1, 0, 0, 0, 8), NOTSOCK],
    ['shutting down', call('sock_shutdown', 1, 0), NOTSOCK],
    ['seeking', call('fd_seek', 0, 0n, 0, 8), SPIPE],
    ['telling', call('fd_tell', 1, 8), SPIPE],
    ['reading at an offset', call('fd_pread', 0, 0, 0, 0n, 8), SPIPE],
    ['writing at an offset', call('fd_pwrite', 1, 0, 0, 0n, 8), SPIPE],
    ['advising', call('fd_advise', 0, 0n, 0n, 0), SPIPE],
    ['allocating', call('fd_allocate', 1, 0n, 1n), SPIPE],
    ['listing', call('fd_readdir', 0, 0, 0, 0n, 8), NOTDIR],
    ['setting a size', call('fd_filestat_set_size', 1, 0n), INVAL],
    ['setting times', call('fd_filestat_set_times', 1, 0n, 0n, 0), NOTCAPABLE],
    ['setting rights', call('fd_fdstat_set_rights', 1, 0n, 0n), NOTCAPABLE],
    ['setting flags', call('fd_fdstat_set_flags', 1, 0), NOTSUP],
    ['renumbering', call('fd_renumber', 1, 2), NOTSUP],
    ['syncing', call('fd_sync', 1), INVAL],
    ['syncing data', call('fd_datasync', 1), INVAL],
    ['raising a signal', call('proc_raise', 9), NOTSUP],
    ['reading stdout', call('fd_read', 1, 0, 0, 8), NOTCAPABLE],
    ['writing stdin', call('fd_write', 0, 0, 0, 8), NOTCAPABLE],
    ['writing where nothing is open', call('fd_write', 4, 0, 0, 8), BADF],
  ];
  it('refuses all else, each with its errno', async () => {
    const { errnos } = await answers(denied.map(([, one]) => one));
    expect(denied.map(([what], index) => [what, errnos[index]])).to.deep.equal(
      denied.map(([what, , errno]) => [what, errno]),
    );
  });

  const END = 65_536;
  const hostile: [what: string, call: WasiCall, errno: number][] = [
    ['a vector array past the end', call('fd_read', 0, END - 4, 1, 8), FAULT],
    ['a vector past the end', call('fd_read', 0, 0, 1, 64), FAULT],
    ['a count past the end', call('fd_read', 0, 16, 1, END - 3), FAULT],
    ['a count at -1', call('fd_read', 0, 16, 1, -1), FAULT],
    ['a huge number of vectors', call('fd_read', 0, 0, -1, 64), INVAL],
    ['one vector too many', call('fd_write', 1, 0, 1025, 64), INVAL],
    ['writing from past the end', call('fd_write', 1, 8, 1, 64), FAULT],
    ['random past the end', call('random_get', END - 1, 2), FAULT],
    ['random everywhere', call('random_get', 0, -1), FAULT],
    ['a time past the end', call('clock_time_get', 1, 0n, END - 7), FAULT],
    ['a resolution past the end', call('clock_res_get', 1, -8), FAULT],
    ['sizes past the end', call('args_sizes_get', 0, -2), FAULT],
    ['arguments past the end', call('args_get', -1, 0), FAULT],
    ['environment sizes past the end', call('environ_sizes_get', -1, 0), FAULT],
    ['a state past the end', call('fd_fdstat_get', 1, END - 23), FAULT],
    ['a file state past the end', call('fd_filestat_get', 1, END - 63), FAULT],
    ['no subscription', call('poll_oneoff', 0, 0, 0, 64), INVAL],
    ['too many subscriptions', call('poll_oneoff', 0, 0, 1025, 64), INVAL],
    ['subscriptions past the end', call('poll_oneoff', END - 47, 0, 1, 64), FAULT],
    ['events past the end', call('poll_oneoff', 100, END - 31, 1, 64), FAULT],
    ['an event that does not exist', call('poll_oneoff', 192, 300, 1, 64), INVAL],
  ];
  it('answers hostile pointers and counts with an errno, each for 100 fuel, memory untouched', async () => {
    const data = new Uint8Array(256);
    // Vectors: 2 bytes from the last byte; -1 bytes from 8; an honest one. At 192, an event of kind 9.
    data.set(words(END - 1, 2, 8, -1, 32, 4));
    data[200] = 9;
    const calls = hostile.map(([, one]) => one);
    const { errnos, memory, outcome } = await answers(calls, { data, showBytes: 256 });
    expect(hostile.map(([what], index) => [what, errnos[index]])).to.deep.equal(
      hostile.map(([what, , errno]) => [what, errno]),
    );
    expect([...memory]).to.deep.equal([...data]);
    const operators = calls.reduce((sum, { args }) => sum + args.length + 3, 0);
    const output = 2 * 3 + 200 + 4 * calls.length + 256;
    expect(outcome.fuel).to.equal(BigInt(1 + operators + 100 * calls.length + output));
  });

  it('vectors that overlap are filled one after another, the later one on top', async () => {
    const { memory } = await answers([call('fd_read', 0, 0, 2, 60)], {
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

  it('without a memory every pointer is bad', async () => {
    const module = await wasm(`(module
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (func (export "run")
        (if (i32.ne (call $random (i32.const 0) (i32.const 1)) (i32.const ${FAULT})) (then unreachable))))`);
    expect((await run(specOf(module))).end).to.equal('SUCCEEDED');
  });
});
