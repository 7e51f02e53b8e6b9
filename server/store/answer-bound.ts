// A database that is cut off closes nothing: packets are dropped, and who waits for an answer would wait for as
// long as TCP does, a quarter of an hour. So a connection whose statement has no answer for too long is given
// up: it is closed, its pool makes another, and whoever waited is told that the database is away.
import type { Clock } from '../clock.ts';

/**
 * A statement may wait for rows of a replica that stands still in a transaction, which the database ends
 * after 10 s; all of ours take well under one otherwise.
 */
export const ANSWER_TIMEOUT_MS = 15_000;

/** As pg-pool has it: it makes its clients of this class. */
interface ClientPool {
  Client: new (...options: never[]) => AnsweringClient;
}

interface AnsweringClient {
  readonly connection: { readonly stream: { destroy(): unknown } };
  query(...args: readonly unknown[]): unknown;
}

/** Waiting for a lock is what this one is for. */
const WAITS_FOR_LOCK = /\bpg_advisory_lock(_shared)?\(/;

export class AnswerBound {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #timeoutMs: number;
  #isOff = false;

  constructor(clock: Pick<Clock, 'after'>, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** To be applied last: every call of `query` has to answer a promise. */
  apply(pool: ClientPool): void {
    const bounded = (client: AnsweringClient, answer: unknown) => this.#bounded(client, answer);
    const isBounded = (text: unknown) =>
      !this.#isOff && !(typeof text === 'string' && WAITS_FOR_LOCK.test(text));
    pool.Client = class extends pool.Client {
      override query(...args: readonly unknown[]): unknown {
        const answer = super.query(...args);
        return isBounded(args[0]) ? bounded(this, answer) : answer;
      }
    };
  }

  /** Runs what may take long: a migration that rewrites a table. */
  async without<T>(work: () => Promise<T>): Promise<T> {
    this.#isOff = true;
    try {
      return await work();
    } finally {
      this.#isOff = false;
    }
  }

  #bounded(client: AnsweringClient, answer: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(this.#timeoutMs, () => {
        reject(new AnswerTimeout(this.#timeoutMs));
        client.connection.stream.destroy();
      });
      Promise.resolve(answer).finally(cancel).then(resolve, reject);
    });
  }
}

export class AnswerTimeout extends Error {
  override readonly name = 'AnswerTimeout';
  readonly code = 'ETIMEDOUT';

  constructor(timeoutMs: number) {
    super(`waiting for the database: it did not answer a statement for ${timeoutMs} ms`);
  }
}
