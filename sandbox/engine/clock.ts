// The timers of the pool: the one file of the agent's side of a sandbox that knows real time.

export interface Timers {
  /** Calls `then` once, `ms` milliseconds from now; answers how to call it off. */
  after(ms: number, then: () => void): () => void;
}

export const realTimers: Timers = {
  after(ms, then) {
    const timer = setTimeout(then, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
