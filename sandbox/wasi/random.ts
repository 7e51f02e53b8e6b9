import { Errno } from './errno.ts';
import { answer, hostFunction } from '../host-function.ts';
import type { HostFunction } from '../host-function.ts';

export const randomFunctions: Record<string, HostFunction> = {
  random_get: hostFunction(['i32', 'i32'], (guest, pointer, length) => {
    const target = guest.memory.range(pointer, length);
    if (target === undefined) return answer(Errno.FAULT);
    return {
      touchedBytes: length,
      act() {
        guest.random.readInto(target);
        return Errno.SUCCESS;
      },
    };
  }),
};
