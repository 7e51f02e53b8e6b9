import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import type { SetQuota } from './quota.ts';

export interface QuotaRow {
  readonly jobs_in_flight: number;
  readonly jobs_queued: number;
  readonly fuel_per_hour: string;
  readonly blob_bytes: string;
  readonly weight: number;
}

/** Of `client_quota q`. */
export const QUOTA_COLUMNS = `q.jobs_in_flight, q.jobs_queued, q.fuel_per_hour::text, q.blob_bytes::text, q.weight`;

/** What was set for the client, or null. */
export async function findQuota(em: EntityManager, clientId: string): Promise<SetQuota | null> {
  const rows = await query<QuotaRow>(
    em,
    `select ${QUOTA_COLUMNS} from client_quota q where q.client_id = $1`,
    [clientId],
  );
  return rows[0] === undefined ? null : setQuotaOf(rows[0]);
}

export function setQuotaOf(row: QuotaRow): SetQuota {
  return {
    jobsInFlight: row.jobs_in_flight,
    jobsQueued: row.jobs_queued,
    fuelPerHour: BigInt(row.fuel_per_hour),
    blobBytes: Number(row.blob_bytes),
    weight: row.weight,
  };
}

/** Sets it whole: what is 0 is the default from now on. */
export async function saveQuota(
  em: EntityManager,
  clientId: string,
  quota: SetQuota,
): Promise<void> {
  await query(
    em,
    `insert into client_quota (client_id, jobs_in_flight, jobs_queued, fuel_per_hour, blob_bytes, weight)
     values ($1, $2, $3, $4, $5, $6)
     on conflict (client_id) do update
       set jobs_in_flight = excluded.jobs_in_flight, jobs_queued = excluded.jobs_queued,
           fuel_per_hour = excluded.fuel_per_hour, blob_bytes = excluded.blob_bytes, weight = excluded.weight`,
    [
      clientId,
      quota.jobsInFlight,
      quota.jobsQueued,
      quota.fuelPerHour,
      quota.blobBytes,
      quota.weight,
    ],
  );
}
