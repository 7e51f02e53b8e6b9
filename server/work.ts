// What clients send and nodes do: blobs, jobs, placement and money, and the five services over them, in the
// order in which they start.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { GJ_0_DIGEST_HEX, GJ_0_PROFILE } from '../metering/metering.ts';
import { DEFAULT_LIMITS, MAX_LIMITS } from '../protocol/bill/limits.ts';
import { DEFAULT_PRICE } from '../protocol/bill/price.ts';
import { DEFAULT_BLOB_LIMITS } from './blobs/blob.ts';
import { blobService } from './blobs/blob-service.ts';
import { createBlobs, type Blobs } from './blobs/blobs.ts';
import { contentsInFiles } from './blobs/contents-in-files.ts';
import { contentsInRows } from './blobs/contents-in-rows.ts';
import type { Revocations } from './certificates/revocations.ts';
import type { Clock } from './clock.ts';
import type { ServerConfig } from './config.ts';
import type { OnError } from './failure-log.ts';
import { NOBODY, type JobObserver } from './jobs/job-observer.ts';
import { jobService } from './jobs/job-service.ts';
import { ModuleCheck } from './jobs/module-check.ts';
import { Retention } from './jobs/retention.ts';
import { billingService } from './ledger/billing-service.ts';
import { Logs } from './logs/logs.ts';
import type { Fleet } from './nodes/fleet.ts';
import { earningsService } from './payouts/earnings-service.ts';
import { openPlacement } from './placement/placement.ts';
import type { ServiceImplementation } from './rpc/service.ts';
import type { Secrets } from './secrets/secrets.ts';
import type { Shared } from './shared.ts';
import type { Stops } from './stops.ts';
import type { Store } from './store/store.ts';

export interface WorkOptions {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly onError: OnError;
  readonly store: Store;
  readonly shared: Pick<Shared, 'announcements'>;
  readonly secrets: Secrets;
  readonly revocations: Revocations;
  readonly fleet: Fleet;
  /** Counts what becomes of jobs. */
  readonly observer?: JobObserver;
  /** Takes what has to be stopped, should a later part fail to start. */
  readonly stops: Stops;
  /** What a simulation puts in the place of chance and of the process that checks modules. */
  readonly edges?: Partial<WorkEdges>;
}

export interface WorkEdges {
  /** Cryptographically random bytes. */
  readonly random: (bytes: number) => Uint8Array;
  readonly moduleCheck: Pick<ModuleCheck, 'check' | 'close'>;
}

/** Large contents, in the data folder. */
const BLOB_FOLDER = 'blobs';

/** What jobs cost and may ask for, as long as nothing of it can be configured. */
const TARIFF = {
  price: DEFAULT_PRICE,
  bounds: { defaults: DEFAULT_LIMITS, most: MAX_LIMITS },
  profile: GJ_0_PROFILE,
  profileDigest: Buffer.from(GJ_0_DIGEST_HEX, 'hex'),
};

export async function startWork(options: WorkOptions): Promise<readonly ServiceImplementation[]> {
  const { config, clock, onError, store, shared, secrets, revocations, fleet, stops } = options;
  const { announcements } = shared;
  const random = options.edges?.random ?? randomBytes;
  const observer = options.observer ?? NOBODY;

  const blobs = openBlobs(options);
  const { outputRetentionMs } = config;
  const retention = new Retention({ store, blobs, outputRetentionMs, onError });
  stops.add(retention.start(clock));
  const logs = new Logs({ store, announcements, clock, random });
  const moduleCheck = options.edges?.moduleCheck ?? new ModuleCheck(clock);
  stops.add(() => moduleCheck.close());
  const { baseIntervalMs, lostAfterIntervals } = config.heartbeat;
  const placement = await openPlacement({
    store,
    clock,
    random,
    blobs,
    logs,
    fleet,
    signer: secrets.signer,
    isolationSecret: secrets.isolationSecret,
    isRevoked: (serial) => revocations.isRevoked(serial),
    announcements,
    lostPeriodMs: lostAfterIntervals * baseIntervalMs,
    maxAttempts: config.limits.maxAttempts,
    jobsInFlight: config.quota.jobsInFlight,
    observer,
    onError,
  });
  stops.add(() => placement.close());

  return [
    blobService({ blobs, leases: placement.leases }),
    jobService({
      store,
      blobs,
      logs,
      retention,
      moduleCheck,
      announcements,
      clock,
      random,
      observer,
      tariff: TARIFF,
      quota: config.quota,
    }),
    placement.service,
    billingService({ store }),
    earningsService({ store }),
  ];
}

function openBlobs({ config, clock, store, edges }: WorkOptions): Blobs {
  const limits = { ...DEFAULT_BLOB_LIMITS, maxClientBytes: config.quota.blobBytes };
  const contents =
    store.kind === 'postgresql'
      ? contentsInRows(store)
      : contentsInFiles(join(config.dataDir, BLOB_FOLDER), limits.chunkBytes);
  return createBlobs({ store, contents, clock, limits, random: edges?.random ?? randomBytes });
}
