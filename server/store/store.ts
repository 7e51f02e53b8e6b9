// The only way to the database. A noun's `<noun>-store.ts` takes a Store for operations of its own, or an
// EntityManager where it takes part in a transaction that another noun began.
import type { EntityManager } from '@mikro-orm/postgresql';

export type { EntityManager };

export interface Store {
  /** `pglite` in a data folder or in memory; `postgresql` by URL. */
  readonly kind: 'pglite' | 'postgresql';
  /**
   * Runs `work` in one transaction (READ COMMITTED) on a fresh EntityManager; commits when it resolves,
   * rolls back when it throws. Never await the network, or another transaction, inside: PGlite has one
   * connection, and that would wait for itself.
   */
  transaction<T>(work: (em: EntityManager) => Promise<T>): Promise<T>;
  /** Runs reads outside of a transaction on a fresh EntityManager. */
  read<T>(work: (em: EntityManager) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}
