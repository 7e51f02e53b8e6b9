// What a guest may call, and the one path that every such call takes.
//
// A host function is a plan and an act. The plan looks at the arguments and at guest memory, changes
// nothing, and says how many bytes of guest memory the act will read or write. The wrapper charges for
// that, which is a CHECK and may end the guest, and only then acts. So a call that cannot be paid
// leaves memory as it was, and a refused one costs as much on every machine.
import type { Guest } from './guest.ts';
import { DeadlineReached } from './guest-end.ts';

/** What each host call costs before the bytes it touches, in fuel (profile gj-0). */
export const FUEL_PER_HOST_CALL = 100;

export type ValueType = 'i32' | 'i64';

export interface Plan {
  /** Bytes of guest memory that the call reads or writes; 1 fuel each. */
  readonly touchedBytes: number;
  /** Nanoseconds that the guest asks to sleep; counted when asked for, before the CHECK. */
  readonly sleepNs?: bigint;
  /** Does it, after it was paid for; answers the function's i32 result where it has one. */
  readonly act: () => number | undefined;
}

type Argument<T extends ValueType> = T extends 'i32' ? number : bigint;
type Arguments<P extends readonly ValueType[]> = { -readonly [K in keyof P]: Argument<P[K]> };

export interface HostFunction {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
  /** Arguments arrive unsigned: i32 as a number in [0, 2^32), i64 as a bigint in [0, 2^64). */
  readonly plan: (guest: Guest, args: readonly (number | bigint)[]) => Plan;
}

/** A host function with an i32 result, its Wasm parameters and its plan typed alike. */
export function hostFunction<const P extends readonly ValueType[]>(
  params: P,
  plan: (guest: Guest, ...args: Arguments<P>) => Plan,
): HostFunction {
  return {
    params,
    results: ['i32'],
    plan: (guest, args) => plan(guest, ...(args as Arguments<P>)),
  };
}

/** The same without a result. */
export function hostProcedure<const P extends readonly ValueType[]>(
  params: P,
  plan: (guest: Guest, ...args: Arguments<P>) => Plan,
): HostFunction {
  return { ...hostFunction(params, plan), results: [] };
}

/**
 * A plan that answers `errno` and does nothing else. What it had to read to find the mistake is paid for:
 * a thousand vectors for the price of none would make a machine look too slow.
 */
export function answer(errno: number, touchedBytes = 0): Plan {
  return { touchedBytes, act: () => errno };
}

/**
 * The JavaScript function that V8 links into an instance.
 * Throws what ends the guest: whatever `guest.fuel.charge` throws, and {@link DeadlineReached} when the
 * time slept alone is past the deadline. That stop replays like any other: its fuel is the counter at
 * this CHECK, no earlier CHECK had that much, and the sleep counts as slept on both sides of it.
 */
export function link(guest: Guest, host: HostFunction): (...args: (number | bigint)[]) => unknown {
  return (...args) => {
    const plan = host.plan(guest, args.map(unsigned));
    if (plan.sleepNs !== undefined) guest.clock.sleep(plan.sleepNs);
    guest.fuel.charge(FUEL_PER_HOST_CALL + plan.touchedBytes);
    if (plan.sleepNs !== undefined && guest.clock.isPastDeadline()) throw new DeadlineReached();
    return plan.act();
  };
}

function unsigned(value: number | bigint): number | bigint {
  return typeof value === 'number' ? value >>> 0 : BigInt.asUintN(64, value);
}
