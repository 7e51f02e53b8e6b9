// What no guest may do, present so that programs link, and refused with the errno that POSIX has for
// such a thing on a stream: there is no directory, file or socket to do it to.
import { Errno } from './errno.ts';
import { answer, hostFunction } from '../host-function.ts';
import type { HostFunction, ValueType } from '../host-function.ts';
import { withDescriptor } from './descriptors.ts';

/** Denies a function whose first argument is a descriptor: EBADF unless it is open, else `errno`. */
function deny(params: readonly ['i32', ...ValueType[]], errno: Errno): HostFunction {
  return hostFunction(params, (guest, ...args) =>
    withDescriptor(guest, args[0], () => answer(errno)),
  );
}

/** Denies a function that takes paths and, as its `index`-th argument, the directory they start at. */
function denyPath(params: readonly ValueType[], index = 0): HostFunction {
  return hostFunction(params, (guest, ...args) =>
    withDescriptor(guest, Number(args[index]), () => answer(Errno.NOTDIR)),
  );
}

export const deniedFunctions: Record<string, HostFunction> = {
  fd_advise: deny(['i32', 'i64', 'i64', 'i32'], Errno.SPIPE),
  fd_allocate: deny(['i32', 'i64', 'i64'], Errno.SPIPE),
  fd_datasync: deny(['i32'], Errno.INVAL),
  fd_fdstat_set_flags: deny(['i32', 'i32'], Errno.NOTSUP),
  fd_fdstat_set_rights: deny(['i32', 'i64', 'i64'], Errno.NOTCAPABLE),
  fd_filestat_set_size: deny(['i32', 'i64'], Errno.INVAL),
  fd_filestat_set_times: deny(['i32', 'i64', 'i64', 'i32'], Errno.NOTCAPABLE),
  fd_pread: deny(['i32', 'i32', 'i32', 'i64', 'i32'], Errno.SPIPE),
  // Only EBADF ends a C library's search for preopened directories as it should.
  fd_prestat_get: hostFunction(['i32', 'i32'], () => answer(Errno.BADF)),
  fd_prestat_dir_name: hostFunction(['i32', 'i32', 'i32'], () => answer(Errno.BADF)),
  fd_pwrite: deny(['i32', 'i32', 'i32', 'i64', 'i32'], Errno.SPIPE),
  fd_readdir: deny(['i32', 'i32', 'i32', 'i64', 'i32'], Errno.NOTDIR),
  fd_renumber: deny(['i32', 'i32'], Errno.NOTSUP),
  fd_seek: deny(['i32', 'i64', 'i32', 'i32'], Errno.SPIPE),
  fd_sync: deny(['i32'], Errno.INVAL),
  fd_tell: deny(['i32', 'i32'], Errno.SPIPE),

  path_create_directory: denyPath(['i32', 'i32', 'i32']),
  path_filestat_get: denyPath(['i32', 'i32', 'i32', 'i32', 'i32']),
  path_filestat_set_times: denyPath(['i32', 'i32', 'i32', 'i32', 'i64', 'i64', 'i32']),
  path_link: denyPath(['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32']),
  path_open: denyPath(['i32', 'i32', 'i32', 'i32', 'i32', 'i64', 'i64', 'i32', 'i32']),
  path_readlink: denyPath(['i32', 'i32', 'i32', 'i32', 'i32', 'i32']),
  path_remove_directory: denyPath(['i32', 'i32', 'i32']),
  path_rename: denyPath(['i32', 'i32', 'i32', 'i32', 'i32', 'i32']),
  path_symlink: denyPath(['i32', 'i32', 'i32', 'i32', 'i32'], 2),
  path_unlink_file: denyPath(['i32', 'i32', 'i32']),

  sock_accept: deny(['i32', 'i32', 'i32'], Errno.NOTSOCK),
  sock_recv: deny(['i32', 'i32', 'i32', 'i32', 'i32', 'i32'], Errno.NOTSOCK),
  sock_send: deny(['i32', 'i32', 'i32', 'i32', 'i32'], Errno.NOTSOCK),
  sock_shutdown: deny(['i32', 'i32'], Errno.NOTSOCK),
};
