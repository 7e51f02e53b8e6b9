// The fleet's grace in the database: until when nobody is lost. Times are the database's.

import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import type { Grace } from './liveness.ts';

/** For whoever else ends leases. */
export async function readGrace(em: EntityManager): Promise<Pick<Grace, 'untilMs' | 'observedMs'>> {
  const [row] = await query<{ until_ms: string; observed_ms: string }>(
    em,
    'select until_ms::text, observed_ms::text from liveness_grace where grace_id = 1',
  );
  return { untilMs: Number(row?.until_ms ?? 0), observedMs: Number(row?.observed_ms ?? 0) };
}

/** The fleet's state, locked until the transaction ends; null while another replica judges. */
export async function lockGrace(
  em: EntityManager,
): Promise<{ readonly nowMs: number; readonly grace: Grace } | null> {
  const [row] = await query<{
    now_ms: string;
    until_ms: string;
    observed_ms: string;
    is_damped: boolean;
  }>(
    em,
    `select gap_junction_now_ms()::text as now_ms, until_ms::text, observed_ms::text, is_damped
       from liveness_grace where grace_id = 1 for update skip locked`,
  );
  if (row === undefined) return null;
  return {
    nowMs: Number(row.now_ms),
    grace: {
      untilMs: Number(row.until_ms),
      observedMs: Number(row.observed_ms),
      isDamped: row.is_damped,
    },
  };
}

export async function writeGrace(em: EntityManager, grace: Grace): Promise<void> {
  await query(
    em,
    `update liveness_grace set until_ms = $1::bigint, observed_ms = $2::bigint, is_damped = $3
     where grace_id = 1`,
    [grace.untilMs, grace.observedMs, grace.isDamped],
  );
}
