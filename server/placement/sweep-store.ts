import { graceUntilMs } from '../nodes/grace-store.ts';
import { databaseNowMs } from '../store/now.ts';
import type { EntityManager } from '../store/store.ts';
import { readLeasesToEnd, readOverdueJobs, type OpenLease } from './lease-store.ts';

/** What a sweep has to look at. Each of it is judged again under its job's lock. */
export interface Due {
  readonly nowMs: number;
  /** Of the fleet: no acknowledged lease ends before. */
  readonly graceUntilMs: number;
  readonly overdue: readonly OpenLease[];
  readonly toCancel: readonly OpenLease[];
  readonly overdueJobs: readonly string[];
}

export async function readDue(em: EntityManager): Promise<Due> {
  return {
    ...(await readLeasesToEnd(em)),
    overdueJobs: await readOverdueJobs(em),
    graceUntilMs: await graceUntilMs(em),
    nowMs: await databaseNowMs(em),
  };
}
