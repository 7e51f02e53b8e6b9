// Every table of the control plane, a line a noun.
import type { EntitySchema } from '@mikro-orm/core';
import { AuditEntrySchema } from '../audit/audit.entity.ts';
import { CertificateSchema } from '../certificates/certificate.entity.ts';
import { ClientSchema, OperatorSchema } from '../clients/client.entity.ts';
import {
  ClientBalanceSchema,
  LedgerPostingSchema,
  LedgerTransactionSchema,
  NodeBalanceSchema,
} from '../ledger/ledger.entity.ts';

export const entities: EntitySchema[] = [
  AuditEntrySchema,
  CertificateSchema,
  ClientSchema,
  OperatorSchema,
  LedgerTransactionSchema,
  LedgerPostingSchema,
  ClientBalanceSchema,
  NodeBalanceSchema,
];
