// The request messages of a streaming call. A message is read off the wire when the handler asks for the
// next, so a slow handler slows its caller down and holds one message in memory.
import type { Message } from '@bufbuild/protobuf';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';

export class Requests implements AsyncIterableIterator<Message> {
  readonly #wire: ServerInterceptingCallInterface;
  readonly #onAwait: (awaiting: boolean) => void;
  #waiting: PromiseWithResolvers<IteratorResult<Message>> | null = null;
  #over: { readonly error: unknown } | null = null;

  /** `onAwait` is told when a message begins and ends to be waited for. */
  constructor(wire: ServerInterceptingCallInterface, onAwait: (awaiting: boolean) => void) {
    this.#wire = wire;
    this.#onAwait = onAwait;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Message>> {
    if (this.#over !== null) {
      return this.#over.error === null
        ? Promise.resolve({ done: true, value: undefined })
        : Promise.reject(this.#over.error);
    }
    if (this.#waiting !== null) {
      return Promise.reject(
        new Error('reading the requests of a call: the one before is still being waited for'),
      );
    }
    const waiting = Promise.withResolvers<IteratorResult<Message>>();
    // A handler may have ended without looking at the message it asked for, and that is no failure.
    waiting.promise.catch(ignore);
    this.#waiting = waiting;
    this.#onAwait(true);
    this.#wire.startRead();
    return waiting.promise;
  }

  async return(): Promise<IteratorResult<Message>> {
    this.end(null);
    return { done: true, value: undefined };
  }

  /** A message that was asked for is here. */
  push(message: Message): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#onAwait(false);
    waiting?.resolve({ done: false, value: message });
  }

  /** There are no more: the caller closed its side, or the call is over, with an error where it failed. */
  end(error: unknown): void {
    if (this.#over !== null) return;
    this.#over = { error };
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) return;
    this.#onAwait(false);
    if (error === null) waiting.resolve({ done: true, value: undefined });
    else waiting.reject(error);
  }
}

function ignore(): void {}
