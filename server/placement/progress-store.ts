// How far guests are, for their clients to see. Nothing depends on it: the receipt says what was burnt.
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';

export interface Progress {
  readonly nodeId: string;
  readonly attemptId: string;
  readonly fuel: bigint;
}

/**
 * Writes what nodes said of attempts that they hold; each changed job gets one revision. Answers those.
 * A job that somebody is changing is left for the next time, and no fuel goes back or beyond its limit.
 */
export async function writeProgress(
  em: EntityManager,
  progress: readonly Progress[],
): Promise<readonly string[]> {
  const said = JSON.stringify(
    progress.map(({ nodeId, attemptId, fuel }) => ({
      attempt_id: attemptId,
      node_id: nodeId,
      fuel: String(fuel),
    })),
  );
  const locked = await query<{ job_id: string }>(
    em,
    `select job_id from job where state = 'running' and job_id in (
        select a.job_id from attempt a
          join jsonb_to_recordset($1::jsonb) as s (attempt_id text, node_id text)
            on a.attempt_id = s.attempt_id and a.node_id = s.node_id)
      order by job_id for update skip locked`,
    [said],
  );
  if (locked.length === 0) return [];
  const changed = await query<{ job_id: string }>(
    em,
    `with attempt_change as (
       update attempt a set progress_fuel = least(s.fuel, j.fuel_limit)::bigint
         from jsonb_to_recordset($1::jsonb) as s (attempt_id text, node_id text, fuel numeric), job j
        where a.attempt_id = s.attempt_id and a.node_id = s.node_id and j.job_id = a.job_id
          and j.job_id in (select jsonb_array_elements_text($2::jsonb))
          and a.state in ('leased', 'acknowledged')
          and coalesce(a.progress_fuel, 0) < least(s.fuel, j.fuel_limit)
       returning a.job_id
     )
     update job set revision = revision + 1
      where job_id in (select job_id from attempt_change) returning job_id`,
    [said, JSON.stringify(locked.map(({ job_id }) => job_id))],
  );
  return changed.map(({ job_id }) => job_id);
}
