// One statement with bound parameters, in the caller's transaction: for the hot path, where a statement
// does the work of several, and for bytes, which an ORM would write into the text of the statement.
import { CompiledQuery } from 'kysely';
import type { EntityManager } from './store.ts';

/** What may stand for `$1`. Both databases take these as they are. */
export type Parameter = string | number | bigint | boolean | Uint8Array | null;

/**
 * Runs one SQL statement and answers its rows. Parameters are `$1`, `$2`, ... and are never part of the
 * text. Answer bigint columns as `::text`: the two databases disagree on what a bigint is in JavaScript.
 *
 * To find what is due by an index, compare with `(select gap_junction_now_ms() - ...)`: the bare function is
 * asked anew for each row, and every row is read for it.
 */
export async function query<Row>(
  em: EntityManager,
  sql: string,
  parameters: readonly Parameter[] = [],
): Promise<readonly Row[]> {
  const answer = await em.getKysely().executeQuery(CompiledQuery.raw(sql, [...parameters]));
  return answer.rows as readonly Row[];
}

/**
 * What several statements of one transaction answer that need nothing of each other: they are sent together
 * and run in this order, for one round trip. Each waits for the locks of those before it, and sees what they
 * changed. Throws what the first of them threw, when all are over.
 */
export async function together<Answers extends readonly unknown[]>(
  statements: readonly [...{ [At in keyof Answers]: Promise<Answers[At]> }],
): Promise<Answers> {
  const pending: readonly Promise<unknown>[] = statements;
  const outcomes = await Promise.allSettled(pending);
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  }) as unknown as Answers;
}
