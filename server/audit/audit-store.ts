import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import type { AuditAct } from './audit.ts';
import { AuditEntry } from './audit.entity.ts';

/** Writes the act down in the transaction of `em`, at the database's time. */
export async function recordAudit(em: EntityManager, act: AuditAct): Promise<void> {
  await query(
    em,
    'insert into audit_entry (at_ms, actor, action, subject, details) values (gap_junction_now_ms(), $1, $2, $3, $4::jsonb)',
    [act.actor, act.action, act.subject, JSON.stringify(act.details ?? {})],
  );
}

/** Newest first, those before the entry number where one is given, at most `limit`. */
export async function listAuditEntries(
  em: EntityManager,
  page: { readonly beforeEntryNumber: bigint | null; readonly limit: number },
): Promise<AuditEntry[]> {
  const where =
    page.beforeEntryNumber === null ? {} : { entryNumber: { $lt: page.beforeEntryNumber } };
  return em.find(AuditEntry, where, { orderBy: { entryNumber: 'desc' }, limit: page.limit });
}
