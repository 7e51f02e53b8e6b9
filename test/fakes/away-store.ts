// A store whose database a test takes away and gives back, at the moment that it wants.
import { RpcError } from '../../server/rpc/error.ts';
import type { OpenStore } from '../../server/store/open.ts';

export class AwayStore implements OpenStore {
  readonly #inner: OpenStore;
  #isAway = false;
  #refused = Promise.withResolvers<void>();

  constructor(inner: OpenStore) {
    this.#inner = inner;
  }

  get orm() {
    return this.#inner.orm;
  }

  get kind() {
    return this.#inner.kind;
  }

  /** Answers nobody from now on. */
  goAway(): void {
    this.#isAway = true;
    this.#refused = Promise.withResolvers();
  }

  /** Resolves when somebody wanted to write meanwhile, and could not. */
  get refusedWrite(): Promise<void> {
    return this.#refused.promise;
  }

  comeBack(): void {
    this.#isAway = false;
  }

  transaction: OpenStore['transaction'] = async (work) => {
    if (this.#isAway) {
      this.#refused.resolve();
      throw away();
    }
    return this.#inner.transaction(work);
  };

  read: OpenStore['read'] = async (work) => {
    if (this.#isAway) throw away();
    return this.#inner.read(work);
  };

  alone: OpenStore['alone'] = (work) => this.#inner.alone(work);

  close(): Promise<void> {
    return this.#inner.close();
  }
}

function away(): RpcError {
  return new RpcError('UNAVAILABLE', 'DATABASE_UNAVAILABLE', 'asking the database: it is away');
}
