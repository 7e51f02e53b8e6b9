import { Errno } from './errno.ts';
import { answer, hostFunction } from '../host-function.ts';
import type { HostFunction } from '../host-function.ts';
import type { Guest } from '../guest.ts';

export const REALTIME = 0;
export const MONOTONIC = 1;

const RESOLUTION_NS = 1n;

/** Nanoseconds on a clock, or undefined for one that guests do not have. Wall time is always 0. */
export function readClock(guest: Guest, clock: number): bigint | undefined {
  if (clock === REALTIME) return 0n;
  return clock === MONOTONIC ? guest.clock.monotonicNs() : undefined;
}

export const clockFunctions: Record<string, HostFunction> = {
  clock_res_get: hostFunction(['i32', 'i32'], (guest, clock, pointer) => {
    if (clock !== REALTIME && clock !== MONOTONIC) return answer(Errno.INVAL);
    const target = guest.memory.view(pointer, 8);
    if (target === undefined) return answer(Errno.FAULT);
    return {
      touchedBytes: 8,
      act() {
        target.setBigUint64(0, RESOLUTION_NS, true);
        return Errno.SUCCESS;
      },
    };
  }),
  clock_time_get: hostFunction(['i32', 'i64', 'i32'], (guest, clock, _precision, pointer) => {
    if (clock !== REALTIME && clock !== MONOTONIC) return answer(Errno.INVAL);
    const target = guest.memory.view(pointer, 8);
    if (target === undefined) return answer(Errno.FAULT);
    return {
      touchedBytes: 8,
      act() {
        // Read after this very call was charged, so two readings in a row are never equal.
        target.setBigUint64(0, readClock(guest, clock) ?? 0n, true);
        return Errno.SUCCESS;
      },
    };
  }),
};
