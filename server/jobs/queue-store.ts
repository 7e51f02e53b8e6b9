// Choosing from the queue in the database: an index scan of the clients that wait, and one of each one's jobs.
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import type { Cursor, Look } from './passed-over.ts';
import { fairOrder, type Turn } from './queue.ts';

/** Clients that take part in one choice: more than one batch has places for. */
const MAX_TURNS = 64;

/** Of one client: 16 replicas with a batch of 32 each. With more room than that nobody has to look again. */
const MAX_PLACED_AT_ONCE = 512;

/** Of each client two jobs more than its even part of a batch are looked at. */
const CHOICE = `
  with waiting as materialized (
    select q.client_id, q.virtual_time, coalesce(nullif(l.weight, 0), 1) as weight,
           coalesce(nullif(l.jobs_in_flight, 0), $2::int) - q.running_jobs as room
      from client_queue q left join client_quota l on l.client_id = q.client_id
     where q.queued_jobs > 0
       and q.running_jobs < coalesce(nullif(l.jobs_in_flight, 0), $2::int)
       and q.client_id not in (select jsonb_array_elements_text($3::jsonb))
     order by q.virtual_time, q.client_id limit ${MAX_TURNS}
  ), turn as materialized (
    select w.*, least(w.room, $1::int / (select count(*)::int from waiting) + 2) as looked_at from waiting w
  )
  select n.waiting_jobs, n.last_start::text, d.*
    from (select (select coalesce(max(last_start), 0) from client_queue) as last_start,
                 (select coalesce(sum(queued_jobs), 0)::int
                    from (select queued_jobs from client_queue where queued_jobs > 0 limit ${MAX_TURNS}) w) as waiting_jobs) n
    left join (
      select t.client_id, t.virtual_time::text, t.weight, t.room, t.looked_at, j.job_id, j.priority, j.submitted_ms::text
        from turn t
        left join jsonb_to_recordset($4::jsonb)
            as c ("clientId" text, priority int, "submittedMs" bigint, "jobId" text)
          on c."clientId" = t.client_id
        cross join lateral (
          select job_id, priority, submitted_ms from job
           where state = 'queued' and client_id = t.client_id
             and (9 - priority, submitted_ms, job_id)
                 > (coalesce(9 - c.priority, -1), coalesce(c."submittedMs", 0), coalesce(c."jobId", ''))
           order by 9 - priority, submitted_ms, job_id limit t.looked_at for update skip locked
        ) j
       order by t.virtual_time, t.client_id, 9 - j.priority, j.submitted_ms, j.job_id
    ) d on true`;

interface ChoiceRow {
  readonly waiting_jobs: number;
  readonly last_start: string;
  readonly client_id: string;
  readonly virtual_time: string;
  readonly weight: number;
  readonly room: number;
  readonly looked_at: number;
  /** Null, as all beside the first two, in the one row of a choice without jobs. */
  readonly job_id: string | null;
  readonly priority: number;
  readonly submitted_ms: string;
}

export interface Choice {
  /** In the order in which they are due. Locked. */
  readonly jobIds: readonly string[];
  /** What of each client was looked at. */
  readonly looks: readonly Look[];
  /** Clients whose room others could fill that choose at the same moment: see requireInFlight. */
  readonly nearQuota: ReadonlySet<string>;
  /** Queued of all clients, these with them, or at least of so many that one batch cannot place them. */
  readonly waitingJobs: number;
}

/**
 * The queued jobs that are due, at most `limit`, locked; jobs that another replica is placing are left out.
 * `jobsInFlight` is the quota of clients that have none of their own: one that is at its quota is passed
 * over. Replicas that choose at the same moment see the same room: see requireInFlight.
 */
export async function chooseJobs(
  em: EntityManager,
  choice: {
    readonly limit: number;
    readonly jobsInFlight: number;
    readonly excluded: readonly string[];
    readonly cursors: readonly Cursor[];
  },
): Promise<Choice> {
  const { limit, jobsInFlight, excluded, cursors } = choice;
  const rows = await query<ChoiceRow>(em, CHOICE, [
    limit,
    jobsInFlight,
    JSON.stringify(excluded),
    JSON.stringify(cursors),
  ]);
  const { last_start = '0', waiting_jobs = 0 } = rows[0] ?? {};
  const turns: Turn[] = [];
  const looks: Look[] = [];
  const nearQuota = new Set<string>();
  const chosen = rows.filter((row): row is ChoiceRow & { job_id: string } => row.job_id !== null);
  for (const [clientId, own] of Map.groupBy(chosen, ({ client_id }) => client_id)) {
    const { virtual_time, weight, room, looked_at } = own[0]!;
    const jobIds = own.map(({ job_id }) => job_id);
    turns.push({ clientId, virtualTime: BigInt(virtual_time), weight, jobIds });
    const jobs = own.map(({ job_id, priority, submitted_ms }) => ({
      jobId: job_id,
      priority,
      submittedMs: Number(submitted_ms),
    }));
    looks.push({ clientId, jobs, isEnd: own.length < looked_at });
    if (room <= MAX_PLACED_AT_ONCE) nearQuota.add(clientId);
  }
  const jobIds = fairOrder(turns, { lastStart: BigInt(last_start), limit });
  return { jobIds, looks, nearQuota, waitingJobs: waiting_jobs };
}

/** Another replica placed jobs of the same client at the same moment: choose anew. */
export class InFlightExceeded extends Error {
  override readonly name = 'InFlightExceeded';
}

/**
 * Refuses leases that were just written, by which one of these clients has more jobs in flight than its
 * quota. Writing them waited for whoever else placed jobs of the client. Throws InFlightExceeded.
 */
export async function requireInFlight(
  em: EntityManager,
  { clientIds, jobsInFlight }: { clientIds: readonly string[]; jobsInFlight: number },
): Promise<void> {
  if (clientIds.length === 0) return;
  const beyond = await query<{ client_id: string }>(
    em,
    `select q.client_id from client_queue q left join client_quota l on l.client_id = q.client_id
      where q.client_id in (select jsonb_array_elements_text($1::jsonb))
        and q.running_jobs > coalesce(nullif(l.jobs_in_flight, 0), $2::int)`,
    [JSON.stringify(clientIds), jobsInFlight],
  );
  const [first] = beyond;
  if (first !== undefined) {
    throw new InFlightExceeded(
      `placing jobs of '${first.client_id}': with them it has more in flight than its quota`,
    );
  }
}
