import { readGrace } from '../nodes/grace-store.ts';
import type { Grace } from '../nodes/liveness.ts';
import { databaseNowMs } from '../store/now.ts';
import type { EntityManager } from '../store/store.ts';
import { readLeasesToEnd, readOverdueJobs, type OpenLease } from './lease-store.ts';

/** What a sweep has to look at. Each of it is judged again under its job's lock. */
export interface Due {
  readonly nowMs: number;
  /** The fleet's. */
  readonly grace: Pick<Grace, 'untilMs' | 'observedMs'>;
  readonly overdue: readonly OpenLease[];
  readonly toCancel: readonly OpenLease[];
  readonly overdueJobs: readonly string[];
}

export async function readDue(em: EntityManager): Promise<Due> {
  return {
    ...(await readLeasesToEnd(em)),
    overdueJobs: await readOverdueJobs(em),
    grace: await readGrace(em),
    nowMs: await databaseNowMs(em),
  };
}
