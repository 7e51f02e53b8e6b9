import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';

/** How many jobs are in each state that is not the last one, and since when the oldest was submitted. */
export async function countJobs(
  em: EntityManager,
): Promise<readonly { state: string; jobs: number; oldestAgeMs: number }[]> {
  const rows = await query<{ state: string; jobs: string; oldest_age_ms: string }>(
    em,
    `select state, count(*)::text as jobs,
            (gap_junction_now_ms() - min(submitted_ms))::text as oldest_age_ms
       from job where state in ('queued', 'running', 'settling') group by state`,
  );
  return rows.map(({ state, jobs, oldest_age_ms }) => ({
    state,
    jobs: Number(jobs),
    oldestAgeMs: Number(oldest_age_ms),
  }));
}
