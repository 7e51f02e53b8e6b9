// Command line and environment. A guest has neither: its arguments are the name of a program, since
// many C and Go programs read argv[0] without looking, and its environment is empty.
import { Errno } from './errno.ts';
import { answer, hostFunction } from '../host-function.ts';
import type { HostFunction, Plan } from '../host-function.ts';
import type { Guest } from '../guest.ts';

/** The one argument, argv[0], with C's terminating zero. */
const PROGRAM_NAME = new TextEncoder().encode('guest\0');

export const argumentFunctions: Record<string, HostFunction> = {
  args_get: hostFunction(['i32', 'i32'], (guest, pointers, buffer) => {
    const pointer = guest.memory.view(pointers, 4);
    const name = guest.memory.range(buffer, PROGRAM_NAME.byteLength);
    if (pointer === undefined || name === undefined) return answer(Errno.FAULT);
    return {
      touchedBytes: 4 + PROGRAM_NAME.byteLength,
      act() {
        pointer.setUint32(0, buffer, true);
        name.set(PROGRAM_NAME);
        return Errno.SUCCESS;
      },
    };
  }),
  args_sizes_get: hostFunction(['i32', 'i32'], (guest, count, bytes) =>
    writeSizes(guest, [count, 1], [bytes, PROGRAM_NAME.byteLength]),
  ),
  environ_get: hostFunction(['i32', 'i32'], () => answer(Errno.SUCCESS)),
  environ_sizes_get: hostFunction(['i32', 'i32'], (guest, count, bytes) =>
    writeSizes(guest, [count, 0], [bytes, 0]),
  ),
};

function writeSizes(guest: Guest, ...sizes: readonly [pointer: number, size: number][]): Plan {
  const targets = sizes.map(([pointer, size]) => ({ view: guest.memory.view(pointer, 4), size }));
  if (targets.some(({ view }) => view === undefined)) return answer(Errno.FAULT);
  return {
    touchedBytes: 4 * targets.length,
    act() {
      for (const { view, size } of targets) view?.setUint32(0, size, true);
      return Errno.SUCCESS;
    },
  };
}
