// Work that nobody waits for: its failures go to the log, and whoever stops can wait for its end.

export class Background {
  readonly #running = new Set<Promise<void>>();
  readonly #alone = new Set<string>();
  readonly #onError: (doing: string, cause: unknown) => void;

  constructor(onError: (doing: string, cause: unknown) => void) {
    this.#onError = onError;
  }

  run(doing: string, work: () => Promise<void>): void {
    const running: Promise<void> = work()
      .catch((cause: unknown) => this.#onError(doing, cause))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Once at a time by this name: what is under way when its time comes again is enough. */
  alone(doing: string, work: () => Promise<void>): void {
    if (this.#alone.has(doing)) return;
    this.#alone.add(doing);
    this.run(doing, () => work().finally(() => this.#alone.delete(doing)));
  }

  /** Resolves when nothing is under way, nor what that started. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
