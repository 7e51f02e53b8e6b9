// What a guest can import, by the profile gj-0: the names and types of the host functions. What is not here
// does not exist for it, so a module that wants more is refused before any node has to try it.
import type { ImportReport } from './module-report.ts';
import type { FunctionType } from './wasm/function-type.ts';

export const WASI_MODULE = 'wasi_snapshot_preview1';
export const GAP_JUNCTION_MODULE = 'gap_junction';

/** Module name, function name, type as text. Maps, so that no name reaches a prototype. */
export const HOST_INTERFACE: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([
  [
    WASI_MODULE,
    signatures({
      args_get: '(i32, i32) -> (i32)',
      args_sizes_get: '(i32, i32) -> (i32)',
      clock_res_get: '(i32, i32) -> (i32)',
      clock_time_get: '(i32, i64, i32) -> (i32)',
      environ_get: '(i32, i32) -> (i32)',
      environ_sizes_get: '(i32, i32) -> (i32)',
      fd_advise: '(i32, i64, i64, i32) -> (i32)',
      fd_allocate: '(i32, i64, i64) -> (i32)',
      fd_close: '(i32) -> (i32)',
      fd_datasync: '(i32) -> (i32)',
      fd_fdstat_get: '(i32, i32) -> (i32)',
      fd_fdstat_set_flags: '(i32, i32) -> (i32)',
      fd_fdstat_set_rights: '(i32, i64, i64) -> (i32)',
      fd_filestat_get: '(i32, i32) -> (i32)',
      fd_filestat_set_size: '(i32, i64) -> (i32)',
      fd_filestat_set_times: '(i32, i64, i64, i32) -> (i32)',
      fd_pread: '(i32, i32, i32, i64, i32) -> (i32)',
      fd_prestat_dir_name: '(i32, i32, i32) -> (i32)',
      fd_prestat_get: '(i32, i32) -> (i32)',
      fd_pwrite: '(i32, i32, i32, i64, i32) -> (i32)',
      fd_read: '(i32, i32, i32, i32) -> (i32)',
      fd_readdir: '(i32, i32, i32, i64, i32) -> (i32)',
      fd_renumber: '(i32, i32) -> (i32)',
      fd_seek: '(i32, i64, i32, i32) -> (i32)',
      fd_sync: '(i32) -> (i32)',
      fd_tell: '(i32, i32) -> (i32)',
      fd_write: '(i32, i32, i32, i32) -> (i32)',
      path_create_directory: '(i32, i32, i32) -> (i32)',
      path_filestat_get: '(i32, i32, i32, i32, i32) -> (i32)',
      path_filestat_set_times: '(i32, i32, i32, i32, i64, i64, i32) -> (i32)',
      path_link: '(i32, i32, i32, i32, i32, i32, i32) -> (i32)',
      path_open: '(i32, i32, i32, i32, i32, i64, i64, i32, i32) -> (i32)',
      path_readlink: '(i32, i32, i32, i32, i32, i32) -> (i32)',
      path_remove_directory: '(i32, i32, i32) -> (i32)',
      path_rename: '(i32, i32, i32, i32, i32, i32) -> (i32)',
      path_symlink: '(i32, i32, i32, i32, i32) -> (i32)',
      path_unlink_file: '(i32, i32, i32) -> (i32)',
      poll_oneoff: '(i32, i32, i32, i32) -> (i32)',
      proc_exit: '(i32) -> ()',
      proc_raise: '(i32) -> (i32)',
      random_get: '(i32, i32) -> (i32)',
      sched_yield: '() -> (i32)',
      sock_accept: '(i32, i32, i32) -> (i32)',
      sock_recv: '(i32, i32, i32, i32, i32, i32) -> (i32)',
      sock_send: '(i32, i32, i32, i32, i32) -> (i32)',
      sock_shutdown: '(i32, i32) -> (i32)',
    }),
  ],
  [
    GAP_JUNCTION_MODULE,
    signatures({
      input_read: '(i32, i32, i32) -> (i32)',
      input_size: '() -> (i32)',
      output_write: '(i32, i32) -> ()',
    }),
  ],
]);

function signatures(of: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(Object.entries(of));
}

/** `(i32, i64) -> (i32)` */
export function signatureText({ parameters, results }: FunctionType): string {
  return `(${parameters.join(', ')}) -> (${results.join(', ')})`;
}

/** Why a module with this import is never run, or null when the import can be given. */
export function whyImportRefused({ module, name, kind, type }: ImportReport): string | null {
  const full = `${module}.${name}`;
  const functions = HOST_INTERFACE.get(module);
  if (functions === undefined) {
    const known = [...HOST_INTERFACE.keys()].join(' and ');
    return `the module imports ${full}: only ${known} exist here`;
  }
  if (type.kind !== 'function') {
    return `the module imports the ${kind} ${full}: only functions can be imported here`;
  }
  const wanted = functions.get(name);
  if (wanted === undefined) return `the module imports ${full}, which does not exist`;
  if (signatureText(type.type) === wanted) return null;
  return `the module imports ${full} with another type than ${wanted}`;
}
