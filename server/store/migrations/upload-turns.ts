import { Migration } from '@mikro-orm/migrations';

/** Which stream writes an upload, known to all replicas. */
export class UploadTurnsMigration extends Migration {
  override up(): void {
    this.addSql(`alter table blob_upload add column turn int not null default 1`);
    this.addSql(`alter table blob_upload alter column turn drop default`);
  }
}
