// Sandbox processes by isolation key. A process only ever runs guests of the one key that it was started
// for: it is kept warm for that key, and ends when idle, when another key needs its place, or when
// anything went wrong in it. Every run has a new instance, so nothing of a guest is left for the next.
import { realTimers } from './clock.ts';
import type { Timers } from './clock.ts';
import { checkSpec, endedWithout } from './guest-run.ts';
import type { GuestOutcome, GuestSpec } from './guest-run.ts';
import { SandboxProcess, type RunOptions } from './sandbox-process.ts';

export interface SandboxPoolOptions {
  /** Processes at a time, and so guests at a time; each takes some 120 MB and what its guest asks for. */
  readonly maxProcesses: number;
  /** How long a process is kept for the next guest of its key, in milliseconds. */
  readonly idleMs: number;
  readonly timers?: Timers;
  /** Told what a process that was ended had said on stderr; for our own log, never for a client. */
  readonly onProcessLog?: (text: string) => void;
}

interface Place {
  readonly isolationKey: string;
  readonly process: SandboxProcess;
  /** Calls off the end of an idle process; undefined while a guest runs in it. */
  callOffEnd: (() => void) | undefined;
}

interface Waiter {
  readonly isolationKey: string;
  readonly give: (place: Place) => void;
  readonly refuse: (reason: Error) => void;
}

export class SandboxPool {
  readonly #options: SandboxPoolOptions;
  readonly #timers: Timers;
  readonly #places = new Set<Place>();
  readonly #waiters = new Set<Waiter>();
  readonly #ending = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: SandboxPoolOptions) {
    for (const [name, value] of [
      ['maxProcesses', options.maxProcesses],
      ['idleMs', options.idleMs],
    ] as const) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new RangeError(
          `Cannot keep sandboxes with ${name} ${value}: give a whole number from 1`,
        );
      }
    }
    this.#options = options;
    this.#timers = options.timers ?? realTimers;
  }

  /**
   * Runs a guest in a process that runs only guests of `isolationKey`, waiting for a place when all are
   * taken. Resolves with how it ended, whatever a guest does; rejects with a RangeError for a spec that
   * no sandbox accepts, and with an Error once the pool is closed.
   * @param options.signal aborting it cancels: the guest stops at its next refill, or is killed
   * @param options.onLogs told what the guest logs while it runs, some times a second
   * @param options.onProgress told how much fuel the guest has burnt, once a second
   */
  async run(
    isolationKey: string,
    spec: GuestSpec,
    options: RunOptions = {},
  ): Promise<GuestOutcome> {
    checkSpec(spec);
    const place = await this.#acquire(isolationKey, options.signal);
    if (place === undefined) return endedWithout('CANCELLED', 'KILLED');
    try {
      const outcome = await place.process.run(spec, options);
      if (outcome.end === 'NODE_FAULT') this.#end(place);
      return outcome;
    } finally {
      this.#release(place);
    }
  }

  /** Kills every process and resolves when all are gone; runs settle as SANDBOX_DIED. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const place of this.#places) this.#end(place);
    for (const { refuse } of this.#waiters) refuse(closedError());
    this.#waiters.clear();
    await Promise.all(this.#ending);
  }

  /** Process ids by isolation key, as they are now; for the agent's status. */
  processes(): { isolationKey: string; pid: number | undefined; isIdle: boolean }[] {
    return [...this.#places].map(({ isolationKey, process, callOffEnd }) => ({
      isolationKey,
      pid: process.pid,
      isIdle: callOffEnd !== undefined,
    }));
  }

  /** Undefined when `signal` was aborted first. */
  async #acquire(isolationKey: string, signal?: AbortSignal): Promise<Place | undefined> {
    if (this.#isClosed) throw closedError();
    if (signal?.aborted === true) return undefined;
    const place = this.#warm(isolationKey) ?? this.#cold(isolationKey);
    if (place !== undefined) return place;
    return await new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#waiters.delete(waiter);
        resolve(undefined);
      };
      const waiter: Waiter = {
        isolationKey,
        give(given) {
          signal?.removeEventListener('abort', giveUp);
          resolve(given);
        },
        refuse: reject,
      };
      this.#waiters.add(waiter);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  #warm(isolationKey: string): Place | undefined {
    for (const place of this.#places) {
      if (place.isolationKey !== isolationKey || place.callOffEnd === undefined) continue;
      place.callOffEnd();
      place.callOffEnd = undefined;
      return place;
    }
    return undefined;
  }

  /** A new process, where there is a place for it or an idle one can be ended for it. */
  #cold(isolationKey: string): Place | undefined {
    if (this.#places.size >= this.#options.maxProcesses) {
      const idle = [...this.#places].find(({ callOffEnd }) => callOffEnd !== undefined);
      if (idle === undefined) return undefined;
      this.#end(idle);
    }
    const place: Place = {
      isolationKey,
      process: new SandboxProcess(this.#timers),
      callOffEnd: undefined,
    };
    this.#places.add(place);
    // One that dies while nobody uses it must not be given to the next guest.
    void place.process.gone.then(() => this.#end(place));
    return place;
  }

  #release(place: Place): void {
    if (place.process.isDead) this.#end(place);
    else if (this.#places.has(place)) {
      place.callOffEnd = this.#timers.after(this.#options.idleMs, () => this.#end(place));
    }
    if (this.#isClosed) return;
    for (const waiter of this.#waiters) {
      const next = this.#warm(waiter.isolationKey) ?? this.#cold(waiter.isolationKey);
      if (next === undefined) return;
      this.#waiters.delete(waiter);
      waiter.give(next);
    }
  }

  #end(place: Place): void {
    if (!this.#places.delete(place)) return;
    place.callOffEnd?.();
    place.process.kill();
    const ending = this.#seeOff(place.process);
    this.#ending.add(ending);
    void ending.finally(() => this.#ending.delete(ending));
  }

  async #seeOff(process: SandboxProcess): Promise<void> {
    await process.gone;
    if (process.stderr !== '') this.#options.onProcessLog?.(process.stderr);
  }
}

function closedError(): Error {
  return new Error('The sandbox pool is closed and runs no more guests');
}
