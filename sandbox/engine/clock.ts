// The timers of the sandbox, on both sides of the pipe: its one file that knows real time.

export interface Timers {
  /** Calls `then` once, `ms` milliseconds from now; answers how to call it off. */
  after(ms: number, then: () => void): () => void;
  /** Calls `then` every `ms` milliseconds; answers how to call it off. */
  every(ms: number, then: () => void): () => void;
  /** Nanoseconds on a clock that all threads of the process share, and that only moves forward. */
  nowNs(): bigint;
}

export const realTimers: Timers = {
  after(ms, then) {
    const timer = setTimeout(then, ms);
    // An idle sandbox keeps nobody's process alive.
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(ms, then) {
    const timer = setInterval(then, ms);
    return () => clearInterval(timer);
  },
  nowNs: () => process.hrtime.bigint(),
};
