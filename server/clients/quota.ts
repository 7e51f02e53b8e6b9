// What one client may use at a time: as the contract's ClientQuota.
import { RpcError } from '../rpc/error.ts';

export interface Quota {
  /** Jobs that hold a lease. One at its quota is passed over by placement. */
  readonly jobsInFlight: number;
  /** Jobs that wait. */
  readonly jobsQueued: number;
  /** Burnt by jobs that ended within the last hour, and the limits of those that have not ended. */
  readonly fuelPerHour: bigint;
  /** Of its blobs, and of uploads that it began. */
  readonly blobBytes: number;
}

/** Where neither an operator nor the configuration says otherwise. */
export const DEFAULT_QUOTA: Quota = {
  // A third of the slots of 100 nodes with 32 each.
  jobsInFlight: 1_000,
  // A day's batch; the queue's cost does not depend on it.
  jobsQueued: 100_000,
  // An hour of some 280 cores at 10^9 a second.
  fuelPerHour: 10n ** 15n,
  blobBytes: 2 ** 30,
};

/** As an operator sets it: 0 is the default. `weight` 0 is 1. */
export interface SetQuota extends Quota {
  readonly weight: number;
}

/** The quota of a client for whom `set` was set, or nothing. */
export function quotaOf(set: SetQuota | null, defaults: Quota): SetQuota {
  return {
    jobsInFlight: set?.jobsInFlight || defaults.jobsInFlight,
    jobsQueued: set?.jobsQueued || defaults.jobsQueued,
    fuelPerHour: set?.fuelPerHour || defaults.fuelPerHour,
    blobBytes: set?.blobBytes || defaults.blobBytes,
    weight: set?.weight || 1,
  };
}

/** A refusal that says which quota, how much of it is used, and when to come again; null for never. */
export function quotaExceeded(
  doing: string,
  exceeded: {
    readonly quota: 'jobs_queued' | 'fuel_per_hour';
    readonly limit: bigint | number;
    readonly used: bigint | number;
    readonly retryAfterMs: number | null;
  },
): RpcError {
  const { quota, limit, used, retryAfterMs } = exceeded;
  const advice =
    retryAfterMs === null
      ? 'the job alone is more than that; lower its limits, or ask an operator for more'
      : `try again in ${retryAfterMs} ms`;
  return new RpcError(
    'RESOURCE_EXHAUSTED',
    'QUOTA_EXCEEDED',
    `${doing}: ${used} of the ${limit} of your quota ${quota} are in use; ${advice}`,
    {
      metadata: {
        quota,
        limit: String(limit),
        used: String(used),
        ...(retryAfterMs !== null && { retry_after_ms: String(retryAfterMs) }),
      },
    },
  );
}
