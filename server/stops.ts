// What has started and must be stopped, last one first.

export class Stops {
  readonly #stops: (() => void | Promise<void>)[] = [];
  #running: Promise<void> | null = null;

  add(stop: () => void | Promise<void>): void {
    this.#stops.push(stop);
  }

  /** Stops all, each even when another failed; the first failure is thrown at the end. Once only. */
  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    const failures: unknown[] = [];
    for (let stop = this.#stops.pop(); stop !== undefined; stop = this.#stops.pop()) {
      try {
        await stop();
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
