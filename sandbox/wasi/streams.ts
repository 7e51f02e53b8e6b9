// Reading stdin, writing stdout and stderr, and what else a program asks about those three.
import { Errno } from './errno.ts';
import { MAX_IO_VECTORS } from '../guest-memory.ts';
import { OutputTooLarge } from '../guest-end.ts';
import { answer, hostFunction } from '../host-function.ts';
import type { Guest } from '../guest.ts';
import type { HostFunction, Plan } from '../host-function.ts';
import { STDIN, STDOUT, rightsOf, withDescriptor } from './descriptors.ts';

const FDSTAT_BYTES = 24;
const FILESTAT_BYTES = 64;

export const streamFunctions: Record<string, HostFunction> = {
  fd_read: hostFunction(['i32', 'i32', 'i32', 'i32'], (guest, fd, vectors, count, read) =>
    withDescriptor(guest, fd, () => {
      if (fd !== STDIN) return answer(Errno.NOTCAPABLE);
      return readStdin(guest, { vectors, count, read });
    }),
  ),
  fd_write: hostFunction(['i32', 'i32', 'i32', 'i32'], (guest, fd, vectors, count, written) =>
    withDescriptor(guest, fd, () => {
      if (fd === STDIN) return answer(Errno.NOTCAPABLE);
      return writeStream(guest, { fd, vectors, count, written });
    }),
  ),
  fd_close: hostFunction(['i32'], (guest, fd) =>
    withDescriptor(guest, fd, () => ({
      touchedBytes: 0,
      act() {
        guest.openDescriptors.delete(fd);
        return Errno.SUCCESS;
      },
    })),
  ),
  fd_fdstat_get: hostFunction(['i32', 'i32'], (guest, fd, pointer) =>
    withDescriptor(guest, fd, () => {
      const target = guest.memory.view(pointer, FDSTAT_BYTES);
      if (target === undefined) return answer(Errno.FAULT);
      return {
        touchedBytes: FDSTAT_BYTES,
        act() {
          // File type 0, unknown, is what a pipe has: a C library then buffers by the block.
          target.setBigUint64(0, 0n, true);
          target.setBigUint64(8, rightsOf(fd), true);
          target.setBigUint64(16, 0n, true);
          return Errno.SUCCESS;
        },
      };
    }),
  ),
  fd_filestat_get: hostFunction(['i32', 'i32'], (guest, fd, pointer) =>
    withDescriptor(guest, fd, () => {
      const target = guest.memory.range(pointer, FILESTAT_BYTES);
      if (target === undefined) return answer(Errno.FAULT);
      return {
        touchedBytes: FILESTAT_BYTES,
        act() {
          target.fill(0);
          return Errno.SUCCESS;
        },
      };
    }),
  ),
};

function readStdin(
  guest: Guest,
  { vectors, count, read }: { vectors: number; count: number; read: number },
): Plan {
  if (count > MAX_IO_VECTORS) return answer(Errno.INVAL);
  const targets = guest.memory.ioVectors(vectors, count);
  const result = guest.memory.view(read, 4);
  const { ranges } = targets;
  if (ranges === null || result === undefined) return answer(Errno.FAULT, targets.headerBytes);
  const bytes = guest.input.subarray(guest.stdinOffset, guest.stdinOffset + targets.totalBytes);
  return {
    touchedBytes: targets.headerBytes + bytes.byteLength + 4,
    act() {
      let at = 0;
      for (const range of ranges) {
        const part = bytes.subarray(at, at + range.byteLength);
        range.set(part);
        at += part.byteLength;
      }
      guest.stdinOffset += bytes.byteLength;
      result.setUint32(0, bytes.byteLength, true);
      return Errno.SUCCESS;
    },
  };
}

function writeStream(
  guest: Guest,
  { fd, vectors, count, written }: { fd: number; vectors: number; count: number; written: number },
): Plan {
  if (count > MAX_IO_VECTORS) return answer(Errno.INVAL);
  const sources = guest.memory.ioVectors(vectors, count);
  const result = guest.memory.view(written, 4);
  const { ranges } = sources;
  if (ranges === null || result === undefined) return answer(Errno.FAULT, sources.headerBytes);
  // The count is answered in 32 bits; overlapping ranges can add up to more.
  if (sources.totalBytes > 0xffff_ffff) return answer(Errno.INVAL, sources.headerBytes);
  return {
    touchedBytes: sources.headerBytes + sources.totalBytes + 4,
    act() {
      for (const range of ranges) {
        if (guest.grants.debugLogs) guest.logs.append(range);
        if (fd === STDOUT && guest.grants.stdoutAsResult && !guest.output.append(range)) {
          throw new OutputTooLarge();
        }
      }
      result.setUint32(0, sources.totalBytes, true);
      return Errno.SUCCESS;
    },
  };
}
