// Every table of the control plane, a line a noun.
import type { EntitySchema } from '@mikro-orm/core';
import { BillSchema } from '../bills/bill.entity.ts';
import { CertificateChainSchema } from '../bills/certificate-chain.entity.ts';
import { JobSchema } from '../jobs/job.entity.ts';
import { ModuleSchema } from '../jobs/module.entity.ts';
import { ClientFuelMinuteSchema, ClientQueueSchema } from '../jobs/queue.entity.ts';
import { AttemptLogChunkSchema, AttemptLogSchema } from '../logs/log.entity.ts';
import { AttemptSchema } from '../placement/attempt.entity.ts';
import { EnrolmentSchema } from '../enrolment/enrolment.entity.ts';
import { LivenessGraceSchema } from '../nodes/liveness-grace.entity.ts';
import { NodeSchema } from '../nodes/node.entity.ts';
import { AuditEntrySchema } from '../audit/audit.entity.ts';
import {
  BlobChunkSchema,
  BlobErasureSchema,
  BlobSchema,
  BlobUploadSchema,
  BlobUseEndSchema,
  BlobUseSchema,
  ClientBlobSchema,
  ClientStorageSchema,
} from '../blobs/blob.entity.ts';
import {
  ContentKeyEndSchema,
  ContentKeyRewritingSchema,
  ContentKeySchema,
} from '../blobs/content-key.entity.ts';
import { CertificateSchema } from '../certificates/certificate.entity.ts';
import { ClientSchema, OperatorSchema } from '../clients/client.entity.ts';
import { ClientQuotaSchema } from '../clients/quota.entity.ts';
import { KeyDigestSchema } from '../secrets/key-digest.entity.ts';
import {
  ClientBalanceSchema,
  LedgerPostingSchema,
  LedgerTransactionSchema,
  NodeBalanceSchema,
} from '../ledger/ledger.entity.ts';

export const entities: EntitySchema[] = [
  AuditEntrySchema,
  CertificateSchema,
  KeyDigestSchema,
  ClientSchema,
  OperatorSchema,
  ClientQuotaSchema,
  LedgerTransactionSchema,
  LedgerPostingSchema,
  ClientBalanceSchema,
  NodeBalanceSchema,
  BlobSchema,
  BlobUseSchema,
  BlobUseEndSchema,
  BlobUploadSchema,
  BlobErasureSchema,
  BlobChunkSchema,
  ClientBlobSchema,
  ClientStorageSchema,
  ContentKeySchema,
  ContentKeyEndSchema,
  ContentKeyRewritingSchema,
  AttemptLogSchema,
  AttemptLogChunkSchema,
  ModuleSchema,
  JobSchema,
  ClientQueueSchema,
  ClientFuelMinuteSchema,
  AttemptSchema,
  BillSchema,
  CertificateChainSchema,
  NodeSchema,
  LivenessGraceSchema,
  EnrolmentSchema,
];
