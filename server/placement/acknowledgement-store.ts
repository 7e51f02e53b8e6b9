// The time to acknowledge orders, which does not run while the database is away: nobody could write then what
// nodes said.
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';

/** So long from now, where it was less: for these attempts, whose jobs the transaction has locked. */
export async function giveTimeToAcknowledge(
  em: EntityManager,
  { attemptIds, acknowledgeMs }: { attemptIds: readonly string[]; acknowledgeMs: number },
): Promise<void> {
  await query(
    em,
    `update attempt set acknowledge_by_ms = greatest(acknowledge_by_ms, gap_junction_now_ms() + $2::bigint)
      where state = 'leased' and attempt_id in (select jsonb_array_elements_text($1::jsonb))`,
    [JSON.stringify(attemptIds), acknowledgeMs],
  );
}

/**
 * The same for all whose time passed since then, in the database's time: since the last moment at which the
 * database is known to have been there.
 */
export async function giveTimeAfterOutage(
  em: EntityManager,
  { sinceMs, acknowledgeMs }: { sinceMs: number; acknowledgeMs: number },
): Promise<void> {
  // Everyone locks jobs first, in the order of their ids: no two wait for each other in a circle.
  await query(
    em,
    `select job_id from job where job_id in (
        select job_id from attempt where state = 'leased' and acknowledge_by_ms >= $1::bigint)
      order by job_id for update`,
    [sinceMs],
  );
  await query(
    em,
    `update attempt set acknowledge_by_ms = greatest(acknowledge_by_ms, gap_junction_now_ms() + $2::bigint)
      where state = 'leased' and acknowledge_by_ms >= $1::bigint`,
    [sinceMs, acknowledgeMs],
  );
}
