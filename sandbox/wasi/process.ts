import { Errno } from './errno.ts';
import { GuestExit } from '../guest-end.ts';
import { answer, hostFunction, hostProcedure } from '../host-function.ts';
import type { HostFunction } from '../host-function.ts';

export const processFunctions: Record<string, HostFunction> = {
  proc_exit: hostProcedure(['i32'], (_guest, code) => ({
    touchedBytes: 0,
    act() {
      throw new GuestExit(code);
    },
  })),
  proc_raise: hostFunction(['i32'], () => answer(Errno.NOTSUP)),
  // There is one thread, so nobody to yield to.
  sched_yield: hostFunction([], () => answer(Errno.SUCCESS)),
};
