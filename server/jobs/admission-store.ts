// What a job takes of its client's quotas is counted when it is submitted, here; what becomes of it afterwards
// is counted by a trigger (see the migration fair-queue).
import { quotaExceeded, quotaOf, type Quota, type SetQuota } from '../clients/quota.ts';
import { findQuota } from '../clients/quota-store.ts';
import type { RpcError } from '../rpc/error.ts';
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';

/** A queue moves within seconds, or not for long. */
const RETRY_QUEUED_MS = 1_000;

/** When what runs ends, nobody knows. */
const RETRY_OPEN_FUEL_MS = 10_000;

interface Admission {
  readonly clientId: string;
  readonly fuelLimit: bigint;
  /** For clients that have none of their own. */
  readonly defaults: Quota;
}

/**
 * Counts a job that is being submitted, under the lock of its client's row. After blobs, before the ledger.
 * Throws RpcError QUOTA_EXCEEDED (RESOURCE_EXHAUSTED) where it is more than the client's quotas allow.
 */
export async function requireQuota(em: EntityManager, admission: Admission): Promise<void> {
  if (await admitJob(em, admission)) return;
  const { clientId } = admission;
  if ((await forgetFuel(em, clientId)) && (await admitJob(em, admission))) return;
  const quota = quotaOf(await findQuota(em, clientId), admission.defaults);
  throw refusal(admission.fuelLimit, quota, (await readUse(em, clientId)) ?? NO_USE);
}

const NO_USE: ClientUse = { queuedJobs: 0, openFuel: 0n, burnt: [] };

/** Why a job with this fuel limit is refused to a client that uses so much. Pure. */
export function refusal(fuelLimit: bigint, quota: SetQuota, use: ClientUse): RpcError {
  const doing = 'submitting the job';
  if (use.queuedJobs >= quota.jobsQueued) {
    return quotaExceeded(doing, {
      quota: 'jobs_queued',
      limit: quota.jobsQueued,
      used: use.queuedJobs,
      retryAfterMs: RETRY_QUEUED_MS,
    });
  }
  const burntFuel = use.burnt.reduce((sum, { fuel }) => sum + fuel, 0n);
  return quotaExceeded(`${doing} with a limit of ${fuelLimit} fuel`, {
    quota: 'fuel_per_hour',
    limit: quota.fuelPerHour,
    used: use.openFuel + burntFuel,
    retryAfterMs:
      fuelLimit > quota.fuelPerHour
        ? null
        : fuelFreeAfterMs(use, use.openFuel + burntFuel + fuelLimit - quota.fuelPerHour),
  });
}

/** When so much of what was burnt will be forgotten; a guess where only the end of what runs helps. */
function fuelFreeAfterMs({ burnt }: ClientUse, neededFuel: bigint): number {
  let free = 0n;
  for (const { fuel, forgottenAfterMs } of burnt) {
    free += fuel;
    if (free >= neededFuel) return forgottenAfterMs;
  }
  return RETRY_OPEN_FUEL_MS;
}

// The limits first, so that one lock, of the client's row, is enough to judge and to count.
const ADMIT = `
  with quota as (
    select coalesce(nullif(l.jobs_queued, 0), $3::int) as jobs_queued,
           coalesce(nullif(l.fuel_per_hour, 0), $4::bigint) as fuel_per_hour
      from (values (1)) one left join client_quota l on l.client_id = $1
  )
  insert into client_queue as q
    (client_id, queued_jobs, running_jobs, open_fuel, ended_fuel, virtual_time, last_start)
  select $1::text, 1, 0, $2::bigint, 0, 0, 0 from quota where $2::bigint <= fuel_per_hour
  on conflict (client_id) do update
    set queued_jobs = q.queued_jobs + 1, open_fuel = q.open_fuel + excluded.open_fuel
  where q.queued_jobs < (select jobs_queued from quota)
    and q.open_fuel + q.ended_fuel + excluded.open_fuel <= (select fuel_per_hour from quota)
  returning client_id`;

/** Counts a job that is being submitted. False where that is more than its client's quotas allow. */
async function admitJob(
  em: EntityManager,
  { clientId, fuelLimit, defaults }: Admission,
): Promise<boolean> {
  const admitted = await query(em, ADMIT, [
    clientId,
    fuelLimit,
    defaults.jobsQueued,
    defaults.fuelPerHour,
  ]);
  return admitted.length > 0;
}

/** Forgets what the client burnt more than an hour ago. Answers whether there was something to forget. */
async function forgetFuel(em: EntityManager, clientId: string): Promise<boolean> {
  const rows = await query(
    em,
    `with old as (
       delete from client_fuel_minute
        where client_id = $1 and minute <= gap_junction_now_ms() / 60000 - 60 returning fuel
     )
     update client_queue set ended_fuel = ended_fuel - (select sum(fuel) from old)
      where client_id = $1 and exists (select from old) returning client_id`,
    [clientId],
  );
  return rows.length > 0;
}

export interface ClientUse {
  readonly queuedJobs: number;
  /** Limits of its jobs that have not ended. */
  readonly openFuel: bigint;
  /** Burnt within the last hour, oldest first: each is forgotten so much later, in milliseconds. */
  readonly burnt: readonly { readonly fuel: bigint; readonly forgottenAfterMs: number }[];
}

/** What the client uses of its quotas; null where it never submitted a job. */
async function readUse(em: EntityManager, clientId: string): Promise<ClientUse | null> {
  const rows = await query<{
    queued_jobs: number;
    open_fuel: string;
    burnt: string;
  }>(
    em,
    `select queued_jobs, open_fuel::text,
            coalesce((select jsonb_agg(jsonb_build_array(fuel::text, (minute + 60) * 60000 - gap_junction_now_ms())
                        order by minute)
              from client_fuel_minute where client_id = $1), '[]')::text as burnt
       from client_queue where client_id = $1`,
    [clientId],
  );
  const row = rows[0];
  if (row === undefined) return null;
  return {
    queuedJobs: row.queued_jobs,
    openFuel: BigInt(row.open_fuel),
    burnt: (JSON.parse(row.burnt) as [string, number][]).map(([fuel, forgottenAfterMs]) => ({
      fuel: BigInt(fuel),
      forgottenAfterMs: Math.max(1, forgottenAfterMs),
    })),
  };
}
