/**
 * What is sent on a stream: put in by anyone, taken out by the one call that sends it. Ends after `end`,
 * when all that was put in is taken.
 */
export class SendQueue<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #wake: (() => void) | null = null;
  #ended = false;

  /** Without effect after `end`. */
  put(message: T): void {
    if (this.#ended) return;
    this.#waiting.push(message);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      while (this.#waiting.length > 0) yield this.#waiting.shift() as T;
      if (this.#ended) return;
      // One after the other: the next message is awaited only when all before it were taken.
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }
}
