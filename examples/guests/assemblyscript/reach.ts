// Reaches for files, directories and the network, and reports what it was told each time. WASI's error
// numbers: 8 = EBADF, 54 = ENOTDIR, 57 = ENOTSOCK, 76 = ENOTCAPABLE.
import { writeText } from "./gap-junction";

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_open")
declare function path_open(
  directory: i32, lookup: i32, path: usize, pathBytes: usize, open: i32,
  rights: u64, inheriting: u64, flags: i32, opened: usize,
): i32;

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_create_directory")
declare function path_create_directory(directory: i32, path: usize, pathBytes: usize): i32;

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_unlink_file")
declare function path_unlink_file(directory: i32, path: usize, pathBytes: usize): i32;

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_prestat_get")
declare function fd_prestat_get(descriptor: i32, result: usize): i32;

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "sock_accept")
declare function sock_accept(descriptor: i32, flags: i32, accepted: usize): i32;

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "sock_send")
declare function sock_send(
  descriptor: i32, vectors: usize, count: i32, flags: i32, sent: usize,
): i32;

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "environ_sizes_get")
declare function environ_sizes_get(count: usize, bytes: usize): i32;

const READ: u64 = 1 << 1;
const scratch = memory.data(64);

function report(what: string, errno: i32): void {
  writeText(what + ": " + (errno == 0 ? "allowed" : "refused, errno " + errno.toString()) + "\n");
}

export function run(): void {
  const path = String.UTF8.encode("/etc/passwd");
  const at = changetype<usize>(path);
  const bytes = <usize>path.byteLength;
  for (let directory = 0; directory < 5; directory++) {
    report(
      "open /etc/passwd under descriptor " + directory.toString(),
      path_open(directory, 0, at, bytes, 0, READ, 0, 0, scratch),
    );
  }
  report("find a preopened directory", fd_prestat_get(3, scratch));
  report("create a directory", path_create_directory(3, at, bytes));
  report("delete a file", path_unlink_file(3, at, bytes));
  report("accept a connection", sock_accept(3, 0, scratch));
  report("send on a socket", sock_send(3, scratch, 1, 0, scratch + 32));
  environ_sizes_get(scratch, scratch + 4);
  writeText("environment variables: " + load<u32>(scratch).toString() + "\n");
}
