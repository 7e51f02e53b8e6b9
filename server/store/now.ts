// The database's clock, the only one that decides over leases and states.
import type { EntityManager } from './store.ts';

/** `gap_junction_now()` in Unix milliseconds, read on the given EntityManager's transaction. */
export async function databaseNowMs(em: EntityManager): Promise<number> {
  const [row] = await em.execute<{ now_ms: string }[]>(
    'select gap_junction_now_ms()::text as now_ms',
  );
  if (row === undefined) throw new Error('reading the clock of the database: it answered no row');
  return Number(row.now_ms);
}
