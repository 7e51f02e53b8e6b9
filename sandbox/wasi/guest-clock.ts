// The only time that a guest can see: it has no wall clock, and its monotonic clock is its own fuel at
// one nanosecond each plus what it slept, so that a replay on any machine reads the same.

const MAX_U64 = 2n ** 64n - 1n;

export class GuestClock {
  readonly #consumed: () => bigint;
  readonly #deadlineNs: bigint;
  readonly #onSleep: (sleptNs: bigint) => void;
  #sleptNs = 0n;

  /**
   * @param clock.consumed fuel consumed so far
   * @param clock.deadlineNs time slept at which the guest has used up its deadline by sleeping alone
   * @param clock.onSleep told the new total whenever it grows
   */
  constructor(clock: {
    consumed: () => bigint;
    deadlineNs: bigint;
    onSleep: (sleptNs: bigint) => void;
  }) {
    this.#consumed = clock.consumed;
    this.#deadlineNs = clock.deadlineNs;
    this.#onSleep = clock.onSleep;
  }

  /** Nanoseconds, unsigned 64 bits; stops at the largest. */
  monotonicNs(): bigint {
    return saturating(this.#consumed() + this.#sleptNs);
  }

  get sleptNs(): bigint {
    return this.#sleptNs;
  }

  /** Advances the clock at once by a sleep of `ns`. */
  sleep(ns: bigint): void {
    if (ns === 0n) return;
    this.#sleptNs = saturating(this.#sleptNs + ns);
    this.#onSleep(this.#sleptNs);
  }

  isPastDeadline(): boolean {
    return this.#sleptNs >= this.#deadlineNs;
  }
}

function saturating(ns: bigint): bigint {
  return ns > MAX_U64 ? MAX_U64 : ns;
}
