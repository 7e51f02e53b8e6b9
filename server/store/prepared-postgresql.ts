// PostgreSQL as our driver sees it, with each statement prepared once a connection: planning the
// statements of the job path takes longer than running them (docs/benchmarks.md).

/** As pg-pool has it: it makes its clients of this class. */
interface ClientPool {
  Client: new (...options: never[]) => QueryingClient;
}

interface QueryingClient {
  query(...args: readonly unknown[]): unknown;
}

/** Statements of ours are some hundred; an ORM's lists make a text for each length, and those stay unnamed. */
const MAX_STATEMENTS = 500;
/** Longer ones are lists of rows, each text once. */
const MAX_STATEMENT_CHARACTERS = 16_384;
const PREPARABLE = /^\s*(select|insert|update|delete|with)\b/i;

/** Names are the same on every connection: the driver remembers on which a name was parsed. */
const names = new Map<string, string>();

/** Lets the pool's clients send a statement with parameters under a name. */
export function prepareStatements(pool: ClientPool): void {
  pool.Client = class extends pool.Client {
    override query(...args: readonly unknown[]): unknown {
      const [text, values, ...rest] = args;
      if (typeof text !== 'string' || !Array.isArray(values)) return super.query(...args);
      const name = nameOf(text);
      return name === null ? super.query(...args) : super.query({ name, text, values }, ...rest);
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
