import { expect } from 'chai';
import { specOf, wasm, words } from './guests.ts';
import type { WasiCall } from './guests.ts';
import { withPool } from './pool.ts';
import {
  BADF,
  FAULT,
  INVAL,
  NOTCAPABLE,
  NOTDIR,
  NOTSOCK,
  NOTSUP,
  SPIPE,
  answers,
  call,
} from './wasi-answers.ts';

describe('WASI preview 1, refused', () => {
  const { run } = withPool(1);

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
    const { errnos } = await answers(
      run,
      denied.map(([, one]) => one),
    );
    expect(denied.map(([what], index) => [what, errnos[index]])).to.deep.equal(
      denied.map(([what, , errno]) => [what, errno]),
    );
  });

  const END = 65_536;
  /** `readBytes`: of vectors and subscriptions that had to be read to find the mistake. */
  const hostile: [what: string, call: WasiCall, errno: number, readBytes?: number][] = [
    ['a vector array past the end', call('fd_read', 0, END - 4, 1, 8), FAULT],
    ['a vector past the end', call('fd_read', 0, 0, 1, 64), FAULT, 8],
    ['a count past the end', call('fd_read', 0, 16, 1, END - 3), FAULT, 8],
    ['a count at -1', call('fd_read', 0, 16, 1, -1), FAULT, 8],
    ['a huge number of vectors', call('fd_read', 0, 0, -1, 64), INVAL],
    ['one vector too many', call('fd_write', 1, 0, 1025, 64), INVAL],
    ['writing from past the end', call('fd_write', 1, 8, 1, 64), FAULT, 8],
    ['random past the end', call('random_get', END - 1, 2), FAULT],
    ['random everywhere', call('random_get', 0, -1), FAULT],
    ['a time past the end', call('clock_time_get', 1, 0n, END - 7), FAULT],
    ['a resolution past the end', call('clock_res_get', 1, -8), FAULT],
    ['sizes past the end', call('args_sizes_get', 0, -2), FAULT],
    ['arguments past the end', call('args_get', -1, 0), FAULT],
    ['environment sizes past the end', call('environ_sizes_get', -1, 0), FAULT],
    ['a state past the end', call('fd_fdstat_get', 1, END - 23), FAULT],
    ['a file state past the end', call('fd_filestat_get', 1, END - 63), FAULT],
    [
      'a thousand vectors, all past the end',
      call('fd_write', 1, END - 8192, 1024, -1),
      FAULT,
      8192,
    ],
    ['no subscription', call('poll_oneoff', 0, 0, 0, 64), INVAL],
    ['too many subscriptions', call('poll_oneoff', 0, 0, 1025, 64), INVAL],
    ['subscriptions past the end', call('poll_oneoff', END - 47, 0, 1, 64), FAULT],
    ['events past the end', call('poll_oneoff', 100, END - 31, 1, 64), FAULT],
    ['an event that does not exist', call('poll_oneoff', 192, 300, 1, 64), INVAL, 48],
  ];
  it('answers hostile pointers and counts with an errno, for 100 fuel and what it read, memory untouched', async () => {
    const data = new Uint8Array(256);
    // Vectors: 2 bytes from the last byte; -1 bytes from 8; an honest one. At 192, an event of kind 9.
    data.set(words(END - 1, 2, 8, -1, 32, 4));
    data[200] = 9;
    const calls = hostile.map(([, one]) => one);
    const { errnos, memory, outcome } = await answers(run, calls, { data, showBytes: 256 });
    expect(hostile.map(([what], index) => [what, errnos[index]])).to.deep.equal(
      hostile.map(([what, , errno]) => [what, errno]),
    );
    expect([...memory]).to.deep.equal([...data]);
    const operators = calls.reduce((sum, { args }) => sum + args.length + 3, 0);
    const output = 2 * 3 + 200 + 4 * calls.length + 256;
    const read = hostile.reduce((sum, [, , , readBytes = 0]) => sum + readBytes, 0);
    expect(outcome.fuel).to.equal(BigInt(1 + operators + 100 * calls.length + read + output));
  });

  it('without a memory every pointer is bad', async () => {
    const module = await wasm(`(module
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (func (export "run")
        (if (i32.ne (call $random (i32.const 0) (i32.const 1)) (i32.const ${FAULT})) (then unreachable))))`);
    expect((await run(specOf(module))).end).to.equal('SUCCEEDED');
  });
});
