// Virtual time: a queue of what happens when. After each event everything that it set off runs to its end,
// so nothing depends on how long anything really takes.

interface Event {
  readonly atMs: number;
  /** Of two events at one time the one that was planned first comes first. */
  readonly order: number;
  task: (() => void) | null;
}

export class Timeline {
  #nowMs: number;
  #planned = 0;
  /** A binary heap, the next event first. */
  readonly #events: Event[] = [];
  /** Work outside of virtual time that is under way: statements of the database. */
  #underWay = 0;

  /** Unix milliseconds. */
  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Runs `task` after so many virtual milliseconds, unless the returned function is called before. */
  after(delayMs: number, task: () => void): () => void {
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#planned++, task };
    this.#push(event);
    return () => {
      event.task = null;
    };
  }

  /** Time stands still until the work is done. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#underWay++;
    try {
      return await work();
    } finally {
      this.#underWay--;
    }
  }

  /** Lets time pass until then, or until `isOver`, asked after each event. */
  async runUntil(endMs: number, isOver: () => boolean = () => false): Promise<void> {
    await this.settle();
    while (!isOver()) {
      const event = this.#events[0];
      if (event === undefined || event.atMs > endMs) {
        this.#nowMs = Math.max(this.#nowMs, endMs);
        return;
      }
      this.#pop();
      if (event.task === null) continue;
      this.#nowMs = event.atMs;
      event.task();
      await this.settle();
    }
  }

  /** Resolves when all that was set off has run as far as it gets without time passing. */
  async settle(): Promise<void> {
    do await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#underWay > 0);
  }

  #push(event: Event): void {
    const events = this.#events;
    let at = events.length;
    events.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = events[parent]!;
      if (isBefore(above, event)) break;
      events[at] = above;
      at = parent;
    }
    events[at] = event;
  }

  #pop(): void {
    const events = this.#events;
    const last = events.pop();
    if (last === undefined || events.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= events.length) break;
      if (child + 1 < events.length && isBefore(events[child + 1]!, events[child]!)) child++;
      if (isBefore(last, events[child]!)) break;
      events[at] = events[child]!;
      at = child;
    }
    events[at] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
