// PostgreSQL as our driver sees it.
//
// 1. Each statement is prepared once a connection: planning the statements of the job path takes longer
//    than running them (docs/benchmarks.md).
// 2. A transaction begins with its first statement, in one message to the database and back: a job has four
//    transactions, and a round trip costs more than most of its statements.
// 3. Statements of one transaction that are asked for together are sent together (`pipeline`). Where BEGIN
//    failed and the session lived on, those behind the first would run outside of a transaction: what is sent
//    with a transaction's first statement only reads, or may be done twice.
// 4. A connection that breaks in a transaction goes back to its pool, which then makes another. The query
//    builder forgets those whose ROLLBACK failed: after one outage with 16 transactions under way the pool
//    would be empty for ever.

/** As pg-pool has it: it makes its clients of this class. */
interface ClientPool {
  Client: (new (...options: never[]) => QueryingClient) & {
    readonly Query: new (statement: Statement) => SubmittedQuery;
  };
}

interface QueryingClient {
  query(...args: readonly unknown[]): unknown;
  end(): Promise<void>;
}

interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A statement on its way, as the driver lets others make them. */
interface SubmittedQuery {
  callback: (error: unknown, result: unknown) => void;
  submit(connection: DriverConnection): unknown;
  handleCommandComplete(message: unknown, connection: DriverConnection): void;
}

interface DriverConnection {
  readonly stream: { cork(): void; uncork(): void };
  bind(options: { readonly statement: string }): void;
  execute(options: object): void;
}

const BEGIN: Statement = { name: 'gj_begin', text: 'begin', values: [] };

/** Statements of ours are some hundred; an ORM's lists make a text for each length, and those stay unnamed. */
const MAX_STATEMENTS = 500;
/** Longer ones are lists of rows, each text once. */
const MAX_STATEMENT_CHARACTERS = 16_384;
const PREPARABLE = /^[\s(]*(select|insert|update|delete|with)\b/i;

/** Names are the same on every connection: the driver remembers on which a name was parsed. */
const names = new Map<string, string>();

/** To be given to the driver as what it calls with its pool. */
export function prepareStatements(pool: ClientPool): void {
  const { Query } = pool.Client;
  pool.Client = class extends pool.Client {
    #hasToBegin = false;
    /** BEGIN is prepared on this connection. */
    #knowsBegin = false;
    /** BEGIN is being prepared: who comes meanwhile comes behind it. */
    #learning: Promise<unknown> | null = null;

    override query(...args: readonly unknown[]): unknown {
      if (this.#learning !== null) return this.#learning.then(() => this.query(...args));
      const [text, values, ...rest] = args;
      if (text === 'begin') return this.#begin();
      if (text === 'commit' && this.#hasToBegin) return this.#forget('COMMIT');
      if (text === 'rollback')
        return this.#hasToBegin ? this.#forget('ROLLBACK') : this.#rollBack(args);
      const isPlain = typeof text === 'string' && Array.isArray(values);
      const name = isPlain ? nameOf(text) : null;
      const statement = isPlain && name !== null ? { name, text, values } : null;
      if (this.#hasToBegin) return this.#beginWith(statement, args);
      return statement === null ? super.query(...args) : super.query(statement, ...rest);
    }

    async #begin(): Promise<unknown> {
      this.#hasToBegin = true;
      return resultOf('BEGIN');
    }

    /** Nothing was done in the transaction. */
    async #forget(command: string): Promise<unknown> {
      this.#hasToBegin = false;
      return resultOf(command);
    }

    async #beginWith(statement: Statement | null, args: readonly unknown[]): Promise<unknown> {
      this.#hasToBegin = false;
      if (this.#knowsBegin && statement !== null) return this.#submitBegun(statement);
      const sent = Promise.withResolvers<void>();
      this.#learning = sent.promise;
      try {
        await super.query(BEGIN);
        this.#knowsBegin = true;
        return super.query(...(statement === null ? args : [statement]));
      } finally {
        this.#learning = null;
        sent.resolve();
      }
    }

    /** There is one point of synchronization, after both: where BEGIN fails, the statement is not run. */
    #submitBegun(statement: Statement): Promise<unknown> {
      const query = new Query(statement);
      const submit = query.submit.bind(query);
      const complete = query.handleCommandComplete.bind(query);
      let hasBegun = false;
      query.submit = (connection) => {
        connection.stream.cork();
        connection.bind({ statement: BEGIN.name });
        connection.execute({});
        const problem = submit(connection);
        connection.stream.uncork();
        return problem;
      };
      query.handleCommandComplete = (message, connection) => {
        if (hasBegun) complete(message, connection);
        hasBegun = true;
      };
      return new Promise((resolve, reject) => {
        query.callback = (error, result) => (error ? reject(error) : resolve(result));
        super.query(query);
      });
    }

    /** A session that ends rolls back as well. */
    async #rollBack(args: readonly unknown[]): Promise<unknown> {
      try {
        return await super.query(...args);
      } catch {
        // The pool gives no client away that is ending.
        this.end().catch(() => undefined);
        return resultOf('ROLLBACK');
      }
    }
  };
}

/** Of a command that has no rows, as the driver answers it. */
function resultOf(command: string): unknown {
  return { command, rowCount: null, rows: [] };
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
