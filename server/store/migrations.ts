// Every migration, in order. A name is written into the database once run: never rename, reorder or edit
// one that was released; add another.
import type { Constructor } from '@mikro-orm/core';
import type { Migration } from '@mikro-orm/migrations';
import { BillsMigration } from './migrations/bills.ts';
import { BlobSharesMigration } from './migrations/blob-shares.ts';
import { BlobsMigration } from './migrations/blobs.ts';
import { JobsMigration } from './migrations/jobs.ts';
import { AuditMigration } from './migrations/audit.ts';
import { CertificatesMigration } from './migrations/certificates.ts';
import { ClientsMigration } from './migrations/clients.ts';
import { ClockMigration } from './migrations/clock.ts';
import { ContentKeysMigration } from './migrations/content-keys.ts';
import { DueLeasesMigration } from './migrations/due-leases.ts';
import { FairQueueMigration } from './migrations/fair-queue.ts';
import { FleetMigration } from './migrations/fleet.ts';
import { KeyDigestsMigration } from './migrations/key-digests.ts';
import { LedgerMigration } from './migrations/ledger.ts';
import { LogsMigration } from './migrations/logs.ts';
import { NodesMigration } from './migrations/nodes.ts';
import { OldKeysMigration } from './migrations/old-keys.ts';
import { RetentionMigration } from './migrations/retention.ts';
import { TimeoutsAndConstraintsMigration } from './migrations/timeouts-and-constraints.ts';
import { UploadTurnsMigration } from './migrations/upload-turns.ts';
import { WorkStreamsMigration } from './migrations/work-streams.ts';

export const migrations: { name: string; class: Constructor<Migration> }[] = [
  { name: '0001-clock', class: ClockMigration },
  { name: '0002-audit', class: AuditMigration },
  { name: '0003-certificates', class: CertificatesMigration },
  { name: '0004-clients', class: ClientsMigration },
  { name: '0005-ledger', class: LedgerMigration },
  { name: '0006-jobs', class: JobsMigration },
  { name: '0007-bills', class: BillsMigration },
  { name: '0008-nodes', class: NodesMigration },
  { name: '0009-blobs', class: BlobsMigration },
  { name: '0010-timeouts-and-constraints', class: TimeoutsAndConstraintsMigration },
  { name: '0011-fleet', class: FleetMigration },
  { name: '0012-key-digests', class: KeyDigestsMigration },
  { name: '0013-content-keys', class: ContentKeysMigration },
  { name: '0014-logs', class: LogsMigration },
  { name: '0015-retention', class: RetentionMigration },
  { name: '0016-fair-queue', class: FairQueueMigration },
  { name: '0017-work-streams', class: WorkStreamsMigration },
  { name: '0018-upload-turns', class: UploadTurnsMigration },
  { name: '0019-old-keys', class: OldKeysMigration },
  { name: '0020-blob-shares', class: BlobSharesMigration },
  { name: '0021-due-leases', class: DueLeasesMigration },
];
