import { Worker } from 'node:worker_threads';
import type { Clock } from '../clock.ts';
import { RpcError } from '../rpc/error.ts';
import { MAX_MODULE_BYTES, type Module } from './module.ts';

type Facts = Pick<Module, 'exportsStart' | 'exportsRun' | 'minMemoryPages'>;

/** What the thread answers. */
export type CheckAnswer =
  | { readonly kind: 'accepted'; readonly facts: Facts }
  | { readonly kind: 'refused'; readonly offset: number; readonly cause: string }
  | { readonly kind: 'failed'; readonly cause: string };

/** Ten times what the largest honest module takes on a slow machine. */
const MAX_CHECK_MS = 20_000;

/** Modules that wait for the thread, 16 MiB each at most. */
const MAX_WAITING = 8;

/** Decoded, a module of 16 MiB takes some hundred MiB; a hostile one is stopped here. */
const MAX_THREAD_HEAP_MIB = 1024;

/** Checks modules on a thread of their own, one after another. */
export class ModuleCheck {
  readonly #clock: Clock;
  #thread: Worker | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * What the module offers to jobs. Throws RpcError MODULE_REFUSED (INVALID_ARGUMENT, metadata `offset`
   * and `cause`), CHECKER_BUSY (RESOURCE_EXHAUSTED) where too many wait.
   */
  async check(bytes: Uint8Array): Promise<Facts> {
    if (bytes.length > MAX_MODULE_BYTES) {
      throw refused(MAX_MODULE_BYTES, `a module has at most ${MAX_MODULE_BYTES} bytes`);
    }
    if (this.#waiting >= MAX_WAITING) {
      throw new RpcError(
        'RESOURCE_EXHAUSTED',
        'CHECKER_BUSY',
        `checking the module: ${MAX_WAITING} others wait for that; try again in a moment`,
      );
    }
    this.#waiting++;
    const turn = this.#last.then(() => this.#ask(bytes));
    this.#last = turn.catch(() => undefined);
    try {
      const answer = await turn;
      if (answer.kind === 'accepted') return answer.facts;
      if (answer.kind === 'refused') throw refused(answer.offset, answer.cause);
      throw new Error(`checking a module of ${bytes.length} bytes: ${answer.cause}`);
    } finally {
      this.#waiting--;
    }
  }

  async close(): Promise<void> {
    await this.#thread?.terminate();
    this.#thread = null;
  }

  async #ask(bytes: Uint8Array): Promise<CheckAnswer> {
    const thread = (this.#thread ??= startThread());
    const { promise, resolve } = Promise.withResolvers<
      CheckAnswer | { readonly kind: 'lost'; readonly cause: string }
    >();
    const stopTimer = this.#clock.after(MAX_CHECK_MS, () =>
      resolve({ kind: 'lost', cause: `checking it takes more than ${MAX_CHECK_MS} ms` }),
    );
    const onError = () => resolve({ kind: 'lost', cause: 'checking it takes too much memory' });
    thread.once('message', resolve).once('error', onError);
    thread.postMessage(bytes, []);
    const answer = await promise;
    stopTimer();
    thread.off('message', resolve).off('error', onError);
    if (answer.kind !== 'lost') return answer;
    // What the thread is doing is given up with it; the next module gets a new one.
    await this.close();
    return { kind: 'refused', offset: 0, cause: answer.cause };
  }
}

function startThread(): Worker {
  const thread = new Worker(new URL('./module-check-thread.ts', import.meta.url), {
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: MAX_THREAD_HEAP_MIB },
  });
  // It does not keep the process alive by itself.
  thread.unref();
  return thread;
}

function refused(offset: number, cause: string): RpcError {
  return new RpcError(
    'INVALID_ARGUMENT',
    'MODULE_REFUSED',
    `checking the module: ${cause}, at byte ${offset}`,
    { metadata: { offset: String(offset), cause } },
  );
}
