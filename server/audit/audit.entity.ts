import { defineEntity, p } from '@mikro-orm/core';

export const AuditEntrySchema = defineEntity({
  name: 'AuditEntry',
  tableName: 'audit_entry',
  properties: {
    entryNumber: p.bigint('bigint').primary().autoincrement(),
    atMs: p.bigint('number'),
    actor: p.text(),
    action: p.text(),
    subject: p.text(),
    details: p.json<Record<string, string>>(),
  },
});

export class AuditEntry extends AuditEntrySchema.class {}
AuditEntrySchema.setClass(AuditEntry);
