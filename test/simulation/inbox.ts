/** What came and was not read yet, for one reader; ends once, with an error or without. */
export class Inbox<Item> implements AsyncIterableIterator<Item> {
  readonly #items: Item[] = [];
  #over: { readonly error: unknown } | null = null;
  #waiting: PromiseWithResolvers<IteratorResult<Item>> | null = null;

  put(item: Item): void {
    if (this.#over !== null) return;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#items.push(item);
    else waiting.resolve({ done: false, value: item });
  }

  /** After what is in. `error` null is a proper end. */
  end(error: unknown): void {
    if (this.#over !== null) return;
    this.#over = { error };
    const waiting = this.#waiting;
    this.#waiting = null;
    if (error === null) waiting?.resolve({ done: true, value: undefined });
    else waiting?.reject(error);
  }

  /** At once, whatever is in. */
  fail(error: unknown): void {
    this.#items.length = 0;
    this.end(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Item>> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve({ done: false, value: item });
    if (this.#over !== null) {
      const { error } = this.#over;
      if (error === null) return Promise.resolve({ done: true, value: undefined });
      return Promise.reject(error);
    }
    this.#waiting = Promise.withResolvers();
    // Whoever waits may be gone, and that is no failure.
    this.#waiting.promise.catch(() => {});
    return this.#waiting.promise;
  }

  async return(): Promise<IteratorResult<Item>> {
    this.end(null);
    return { done: true, value: undefined };
  }
}
