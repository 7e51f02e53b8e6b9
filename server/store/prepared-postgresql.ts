// PostgreSQL as our driver sees it.
//
// 1. Each statement is prepared once a connection: planning the statements of the job path takes longer
//    than running them (docs/benchmarks.md).
// 2. A connection that breaks in a transaction goes back to its pool, which then makes another. The query
//    builder forgets those whose BEGIN or ROLLBACK failed: after one outage with 16 transactions under way
//    the pool would be empty for ever.

/** As pg-pool has it: it makes its clients of this class. */
interface ClientPool {
  Client: new (...options: never[]) => QueryingClient;
}

interface QueryingClient {
  query(...args: readonly unknown[]): unknown;
  end(): Promise<void>;
  /** Given by the pool while the client is out of it; with a reason the pool forgets it. */
  release?(reason?: unknown): void;
}

/** Statements of ours are some hundred; an ORM's lists make a text for each length, and those stay unnamed. */
const MAX_STATEMENTS = 500;
/** Longer ones are lists of rows, each text once. */
const MAX_STATEMENT_CHARACTERS = 16_384;
const PREPARABLE = /^[\s(]*(select|insert|update|delete|with)\b/i;

/** Names are the same on every connection: the driver remembers on which a name was parsed. */
const names = new Map<string, string>();

/** To be given to the driver as what it calls with its pool. */
export function prepareStatements(pool: ClientPool): void {
  pool.Client = class extends pool.Client {
    override query(...args: readonly unknown[]): unknown {
      const [text, values, ...rest] = args;
      if (text === 'begin') return this.#begin(args);
      if (text === 'rollback') return this.#rollBack(args);
      if (typeof text !== 'string' || !Array.isArray(values)) return super.query(...args);
      const name = nameOf(text);
      return name === null ? super.query(...args) : super.query({ name, text, values }, ...rest);
    }

    async #begin(args: readonly unknown[]): Promise<unknown> {
      try {
        return await super.query(...args);
      } catch (cause) {
        this.release?.(cause);
        throw cause;
      }
    }

    /** A session that ends rolls back as well. */
    async #rollBack(args: readonly unknown[]): Promise<unknown> {
      try {
        return await super.query(...args);
      } catch {
        // The pool gives no client away that is ending.
        this.end().catch(() => undefined);
        return { command: 'ROLLBACK', rowCount: 0, rows: [] };
      }
    }
  };
}

function nameOf(text: string): string | null {
  const known = names.get(text);
  if (known !== undefined) return known;
  const worth = PREPARABLE.test(text) && text.length <= MAX_STATEMENT_CHARACTERS;
  if (!worth || names.size >= MAX_STATEMENTS) return null;
  const name = `gj${names.size + 1}`;
  names.set(text, name);
  return name;
}
