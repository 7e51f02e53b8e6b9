// A process of the simulation: a replica, an agent or a client between its start and its end. Nothing gets
// into one but through `enter`, so one that was killed never runs again, and one that is paused runs on
// where it stopped. What goes out of it asks `isAlive` first: after its kill a process may run on to its
// next wait, and nobody must notice.
import type { Clock } from '../../server/clock.ts';
import type { Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';

export class Process {
  /** `replica-1`, `agent-2`, `client-1`: the same in all its lives. */
  readonly name: string;
  readonly timeline: Timeline;
  /** Wall time minus virtual time: a clock that is off, and is set. */
  wallOffsetMs = 0;
  wasKilled = false;
  /** While its code runs in a transaction that has not committed. */
  isInTransaction = false;
  readonly #trace: Trace;
  #alive = true;
  #paused = false;
  #waiting: (() => void)[] = [];
  readonly #onEnd = new Set<() => void>();

  constructor(name: string, { timeline, trace }: { timeline: Timeline; trace: Trace }) {
    this.name = name;
    this.timeline = timeline;
    this.#trace = trace;
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  /** Something from outside: runs now, when the process goes on, or never. */
  enter(task: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) this.#waiting.push(task);
    else task();
  }

  /** SIGKILL. */
  kill(why: string): void {
    if (!this.#alive) return;
    this.#trace.note(`${this.name} is killed: ${why}`);
    this.wasKilled = true;
    this.#end();
  }

  /** By itself. */
  exit(why: string): void {
    if (!this.#alive) return;
    this.#trace.note(`${this.name} ends: ${why}`);
    this.#end();
  }

  #end(): void {
    this.#alive = false;
    this.#waiting = [];
    for (const listener of this.#onEnd) listener();
  }

  /** Called when the process has ended, in whatever way. */
  onEnd(listener: () => void): void {
    this.#onEnd.add(listener);
  }

  /** SIGSTOP. */
  pause(): void {
    this.#trace.note(`${this.name} is paused`);
    this.#paused = true;
  }

  /** SIGCONT: what came meanwhile is handled in order. */
  resume(): void {
    if (!this.#paused) return;
    this.#trace.note(`${this.name} goes on`);
    this.#paused = false;
    for (const task of this.#waiting.splice(0)) this.timeline.after(0, () => this.enter(task));
  }

  /** Wall time may be set; timers run by the machine's monotonic clock. */
  readonly clock: Clock = {
    now: () => this.timeline.nowMs + this.wallOffsetMs,
    after: (delayMs, task) => {
      let called = false;
      const cancel = this.timeline.after(delayMs, () => this.enter(() => called || task()));
      return () => {
        called = true;
        cancel();
      };
    },
    every: (intervalMs, task) => {
      let stopped = false;
      const tick = (): void => {
        this.timeline.after(intervalMs, () =>
          this.enter(() => {
            if (stopped) return;
            tick();
            task();
          }),
        );
      };
      tick();
      return () => {
        stopped = true;
      };
    },
  };
}
