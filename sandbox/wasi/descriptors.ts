// The three descriptors that a guest starts with and all that it can ever have: nothing is preopened,
// and nothing can be opened.
import { Errno } from './errno.ts';
import { answer } from '../host-function.ts';
import type { Plan } from '../host-function.ts';
import type { Guest } from '../guest.ts';

export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;

export const RIGHT_FD_READ = 1n << 1n;
export const RIGHT_FD_WRITE = 1n << 6n;
const RIGHT_FD_FILESTAT_GET = 1n << 21n;
const RIGHT_POLL_FD_READWRITE = 1n << 27n;

/** What the snapshot calls the rights of an open standard stream. */
export function rightsOf(descriptor: number): bigint {
  const direction = descriptor === STDIN ? RIGHT_FD_READ : RIGHT_FD_WRITE;
  return direction | RIGHT_FD_FILESTAT_GET | RIGHT_POLL_FD_READWRITE;
}

/** The plan for an open descriptor; EBADF for any other. */
export function withDescriptor(guest: Guest, descriptor: number, plan: () => Plan): Plan {
  return guest.openDescriptors.has(descriptor) ? plan() : answer(Errno.BADF);
}
