// Whose module is checked next. One at a time, each client in turn, so that nobody waits for all that another
// one sends; and each module once, however many ask for it meanwhile.
import { RpcError } from '../rpc/error.ts';

/** Of one client: a check takes up to 20 s, and a call is given up after 60 s. */
const MAX_WAITING_PER_CLIENT = 4;

/** Never fails. */
type Start = () => Promise<void>;

export class CheckTurns<Answer> {
  /** By what is checked: waiting or under way. */
  readonly #asked = new Map<string, Promise<Answer>>();
  /** By client; the one whose turn is next is the first. */
  readonly #waiting = new Map<string, Start[]>();
  #isRunning = false;

  /**
   * The answer of `check`, begun when it is this client's turn, or of another call's for the same `key`.
   * Throws RpcError CHECKER_BUSY (RESOURCE_EXHAUSTED) where too many of this client wait, and what the
   * check throws.
   */
  take(turn: {
    readonly clientId: string;
    readonly key: string;
    readonly check: () => Promise<Answer>;
  }): Promise<Answer> {
    const { clientId, key, check } = turn;
    const asked = this.#asked.get(key);
    if (asked !== undefined) return asked;
    const own = this.#waiting.get(clientId) ?? [];
    if (own.length >= MAX_WAITING_PER_CLIENT) return Promise.reject(busy());
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#asked.set(key, promise);
    own.push(async () => {
      // Forgotten before anyone hears of it: who asks again then is answered anew.
      await check()
        .finally(() => this.#asked.delete(key))
        .then(resolve, reject);
    });
    this.#waiting.set(clientId, own);
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let next = this.#next(); next !== undefined; next = this.#next()) await next();
    this.#isRunning = false;
  }

  #next(): Start | undefined {
    for (const [clientId, own] of this.#waiting) {
      const next = own.shift();
      // It comes behind the others.
      this.#waiting.delete(clientId);
      if (own.length > 0) this.#waiting.set(clientId, own);
      return next;
    }
    return undefined;
  }
}

function busy(): RpcError {
  return new RpcError(
    'RESOURCE_EXHAUSTED',
    'CHECKER_BUSY',
    `checking the module: ${MAX_WAITING_PER_CLIENT} of your modules wait for that; try again in a moment`,
    { metadata: { limit: String(MAX_WAITING_PER_CLIENT), retry_after_ms: '1000' } },
  );
}
