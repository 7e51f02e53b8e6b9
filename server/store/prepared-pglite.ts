// PGlite as our driver sees it, with each statement prepared once.
//
// Why: PGlite's own `query` plans every statement anew and crosses into WebAssembly six times for it.
// A prepared statement keeps its plan, and its bind, execute and sync go in with one crossing: a
// statement of the job path takes 0.2 ms instead of 0.8, an empty transaction 0.03 instead of 0.3
// (docs/benchmarks.md).
import {
  messages as messageTypes,
  Mutex,
  parse,
  protocol,
  type PGlite,
  type Results,
} from '@electric-sql/pglite';

type Message = Awaited<ReturnType<PGlite['execProtocolStream']>>[number];

/** Statements of ours are some hundred; an ORM's lists make a text for each length. */
const MAX_STATEMENTS = 500;
/** Longer ones are lists of rows, each text once. */
const MAX_STATEMENT_CHARACTERS = 16_384;

/**
 * PGlite has no autovacuum: without us its planner would never learn that a table has grown, and updated
 * rows would leave their old versions for ever. So often after a start as the tables double, then each
 * so many transactions: about every two minutes of full load.
 */
const FIRST_VACUUM_TRANSACTIONS = 64;
const MAX_VACUUM_TRANSACTIONS = 10_000;

/** A union of selects may begin with a bracket. What else runs may change tables, and drops all plans. */
const PREPARABLE = /^[\s(]*(select|insert|update|delete|with)\b/i;
const TRANSACTION_COMMAND = /^\s*(begin|commit|rollback|savepoint|release)\b/i;

interface Statement {
  readonly name: string;
  readonly parameterTypes: readonly number[];
}

/** What runs in a transaction, or outside of any. */
export interface Queries {
  query<Row>(sql: string, parameters?: readonly unknown[]): Promise<Results<Row>>;
}

/** The part of PGlite's interface that the driver uses; one statement and one transaction at a time. */
export class PreparedPglite implements Queries {
  readonly #pglite: PGlite;
  readonly #transactions = new Mutex();
  readonly #turns = new Mutex();
  /** By text, least recently used first. */
  readonly #statements = new Map<string, Statement>();
  #named = 0;
  #vacuumEvery = FIRST_VACUUM_TRANSACTIONS;
  #sinceVacuum = 0;

  constructor(pglite: PGlite) {
    this.#pglite = pglite;
  }

  get ready(): boolean {
    return this.#pglite.ready;
  }

  get closed(): boolean {
    return this.#pglite.closed;
  }

  get waitReady(): Promise<void> {
    return this.#pglite.waitReady;
  }

  async close(): Promise<void> {
    await this.#transactions.runExclusive(() => this.#pglite.close());
  }

  async query<Row>(sql: string, parameters: readonly unknown[] = []): Promise<Results<Row>> {
    return this.#transactions.runExclusive(() => this.#query<Row>(sql, parameters));
  }

  async exec(sql: string): Promise<Results[]> {
    return this.#transactions.runExclusive(async () => {
      const results = await this.#pglite.exec(sql);
      await this.#forgetStatements();
      return results;
    });
  }

  /** The whole database as one file, to start others from. */
  async dumpDataDir(compression?: 'none' | 'gzip' | 'auto'): Promise<File | Blob> {
    return this.#transactions.runExclusive(() => this.#pglite.dumpDataDir(compression));
  }

  /** Commits when `work` resolves, rolls back when it rejects. */
  async transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    return this.#transactions.runExclusive(async () => {
      await this.#command('begin');
      // Statements that are asked for together run one after the other: preparing one takes several turns.
      const inOrder = new Mutex();
      let result: T;
      try {
        result = await work({
          query: (sql, parameters = []) => inOrder.runExclusive(() => this.#query(sql, parameters)),
        });
      } catch (error) {
        await this.#command('rollback');
        throw error;
      }
      await this.#command('commit');
      await this.#vacuumWhenDue();
      return result;
    });
  }

  async #vacuumWhenDue(): Promise<void> {
    this.#sinceVacuum += 1;
    if (this.#sinceVacuum < this.#vacuumEvery) return;
    this.#sinceVacuum = 0;
    this.#vacuumEvery = Math.min(2 * this.#vacuumEvery, MAX_VACUUM_TRANSACTIONS);
    await this.#command('vacuum (analyze)');
  }

  async #command(sql: string): Promise<readonly Message[]> {
    return this.#send([protocol.serialize.query(sql)]);
  }

  async #query<Row>(sql: string, parameters: readonly unknown[]): Promise<Results<Row>> {
    if (!PREPARABLE.test(sql) || sql.length > MAX_STATEMENT_CHARACTERS) {
      return this.#queryOnce(sql, parameters);
    }
    const statement = this.#statements.get(sql) ?? (await this.#prepare(sql));
    // The most recently used one stands last.
    this.#statements.delete(sql);
    this.#statements.set(sql, statement);
    return this.#execute(statement, parameters);
  }

  /** What is not worth keeping, or changes what the kept plans rely on. */
  async #queryOnce<Row>(sql: string, parameters: readonly unknown[]): Promise<Results<Row>> {
    if (TRANSACTION_COMMAND.test(sql)) return this.#resultsOf(await this.#command(sql));
    const statement = await this.#parse('', sql);
    const results = await this.#execute<Row>(statement, parameters);
    if (!PREPARABLE.test(sql)) await this.#forgetStatements();
    return results;
  }

  async #prepare(sql: string): Promise<Statement> {
    if (this.#statements.size >= MAX_STATEMENTS) {
      const [oldest] = this.#statements;
      if (oldest !== undefined) {
        this.#statements.delete(oldest[0]);
        await this.#send([protocol.serialize.close({ type: 'S', name: oldest[1].name })]);
      }
    }
    this.#named += 1;
    return this.#parse(`s${this.#named}`, sql);
  }

  async #parse(name: string, sql: string): Promise<Statement> {
    const { serialize } = protocol;
    const answer = await this.#send([
      serialize.parse({ name, text: sql }),
      serialize.describe({ type: 'S', name }),
    ]);
    return { name, parameterTypes: parse.parseDescribeStatementResults([...answer]) };
  }

  async #execute<Row>(
    { name, parameterTypes }: Statement,
    parameters: readonly unknown[],
  ): Promise<Results<Row>> {
    const { serialize } = protocol;
    const values = parameters.map((value, index) => this.#textOf(value, parameterTypes[index]));
    return this.#resultsOf<Row>(
      await this.#send([
        serialize.bind({ statement: name, values }),
        serialize.describe({ type: 'P' }),
        serialize.execute({}),
      ]),
    );
  }

  #textOf(value: unknown, type: number | undefined): string | null {
    if (value === null || value === undefined) return null;
    const serializer = type === undefined ? undefined : this.#pglite.serializers[type];
    return serializer === undefined
      ? `${value as string | number | bigint | boolean}`
      : serializer(value);
  }

  #resultsOf<Row>(messages: readonly Message[]): Results<Row> {
    // It copies the parsers for each answer, a fifth of a small statement's time: its columns' own will do.
    const parsers: Record<number, (text: string) => unknown> = {};
    for (const message of messages) {
      if (!(message instanceof messageTypes.RowDescriptionMessage)) continue;
      for (const { dataTypeID } of message.fields) {
        const parser = this.#pglite.parsers[dataTypeID];
        if (parser !== undefined) parsers[dataTypeID] = parser;
      }
    }
    const [results] = parse.parseResults([...messages], parsers);
    return results as Results<Row>;
  }

  async #forgetStatements(): Promise<void> {
    if (this.#statements.size === 0) return;
    await this.#command('deallocate all');
    this.#statements.clear();
  }

  /** Sends messages, and a sync behind them, in one crossing. Throws what the database refuses with. */
  async #send(messages: readonly Uint8Array[]): Promise<readonly Message[]> {
    const all = Buffer.concat([...messages, protocol.serialize.sync()]);
    return this.#turns.runExclusive(() => this.#pglite.execProtocolStream(all, { syncToFs: true }));
  }
}
