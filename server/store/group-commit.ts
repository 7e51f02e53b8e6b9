/** A batch is one statement or a few; more would hold the database's one connection for too long. */
const MAX_BATCH = 64;

/**
 * Does the work of many callers at once: while one batch runs, those who come wait and are the next.
 * `run` answers one result for each item, in order; when it throws, all callers of that batch see it.
 */
export class GroupCommit<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #maxBatch: number;
  #waiting: { item: Item; resolve: (result: Result) => void; reject: (cause: unknown) => void }[] =
    [];
  #running: Promise<void> | null = null;

  constructor(
    run: (items: readonly Item[]) => Promise<readonly Result[]>,
    { maxBatch = MAX_BATCH }: { readonly maxBatch?: number } = {},
  ) {
    this.#run = async (items) => run(items);
    this.#maxBatch = maxBatch;
  }

  /** Nothing waits or is under way. */
  get isIdle(): boolean {
    return this.#running === null;
  }

  add(item: Item): Promise<Result> {
    const added = new Promise<Result>((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
    });
    this.#running ??= this.#drain();
    return added;
  }

  /** Resolves when nothing is under way, whatever became of it. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#maxBatch);
      try {
        const results = await this.#run(batch.map(({ item }) => item));
        batch.forEach(({ resolve }, index) => resolve(results[index]!));
      } catch (cause) {
        for (const { reject } of batch) reject(cause);
      }
    }
    // Here, not when the promise settles: whoever comes in between would wait for ever.
    this.#running = null;
  }
}
