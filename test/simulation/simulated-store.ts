// The database as one process sees it: over a link that has delays and fails, in transactions that a kill
// may cut off before or after their commit. A transaction itself takes no virtual time, so two never run
// interleaved: what the locks of PostgreSQL do under contention is for tests on PostgreSQL.
import type { EntityManager, Store } from '../../server/store/store.ts';
import type { Database } from './database.ts';
import type { Network } from './network.ts';
import type { Process } from './process.ts';

export interface CommitFaults {
  /** What happens to this transaction, drawn anew for each. */
  fateOf(
    process: Process,
  ): 'done' | 'killed-before' | 'killed-after' | 'lost-before' | 'lost-after';
}

/** A driver gives a connection up that does not answer. */
const TIMEOUT_MS = 5_000;

export class SimulatedStore implements Store {
  /** Replicas share it, as they share PostgreSQL. */
  readonly kind = 'postgresql';
  readonly #process: Process;
  readonly #parts: {
    readonly database: Database;
    readonly network: Network;
    readonly faults: CommitFaults;
  };

  constructor(
    process: Process,
    parts: { database: Database; network: Network; faults: CommitFaults },
  ) {
    this.#process = process;
    this.#parts = parts;
  }

  transaction<T>(work: (em: EntityManager) => Promise<T>): Promise<T> {
    const { database, faults } = this.#parts;
    return this.#exchange(async () => {
      const fate = faults.fateOf(this.#process);
      const result = await database.store.transaction(async (em) => {
        const done = await this.#inTransaction(() => work(em));
        if (fate === 'killed-before') this.#process.kill('before a commit');
        if (fate === 'killed-before' || fate === 'lost-before') throw connectionLost();
        return done;
      });
      if (fate === 'killed-after') this.#process.kill('after a commit');
      if (fate === 'lost-after') throw connectionLost();
      return result;
    });
  }

  read<T>(work: (em: EntityManager) => Promise<T>): Promise<T> {
    return this.#exchange(() => this.#parts.database.store.read(work));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #inTransaction<T>(work: () => Promise<T>): Promise<T> {
    this.#process.isInTransaction = true;
    try {
      return await work();
    } finally {
      this.#process.isInTransaction = false;
    }
  }

  /** A round trip: resolves in the process when the answer is back, or never where that has ended. */
  #exchange<T>(work: () => Promise<T>): Promise<T> {
    const { timeline } = this.#process;
    const { database, network } = this.#parts;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    // Made here, so that its stack says who asked.
    const lost = connectionLost();
    const comeBack = (settle: () => void): void => {
      const delayMs = network.delayMs('database', this.#process.name);
      timeline.after(delayMs, () => this.#process.enter(settle));
    };
    if (!this.#process.isAlive) return promise;
    const delayMs = network.delayMs(this.#process.name, 'database');
    if (delayMs > TIMEOUT_MS) {
      timeline.after(TIMEOUT_MS, () => this.#process.enter(() => reject(lost)));
      return promise;
    }
    timeline.after(delayMs, () =>
      this.#process.enter(() => {
        void timeline.during(async () => {
          const settle = await database.at(timeline.nowMs + database.wallOffsetMs, work).then(
            (result) => () => resolve(result),
            (error: unknown) => () => reject(error),
          );
          comeBack(settle);
        });
      }),
    );
    return promise;
  }
}

function connectionLost(): Error {
  return new Error('asking the database: the connection was lost');
}
