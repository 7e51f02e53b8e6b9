import { Migration } from '@mikro-orm/migrations';

/** What guests write to stdout and stderr: sealed, an attempt's under one key. */
export class LogsMigration extends Migration {
  override up(): void {
    this.addSql(`create table attempt_log (
      attempt_id text primary key,
      job_id text not null,
      key_id text not null,
      size_bytes int not null
    )`);
    this.addSql(`create index attempt_log_job_id_index on attempt_log (job_id)`);
    this.addSql(`create table attempt_log_chunk (
      attempt_id text not null,
      offset_bytes int not null,
      sealed bytea not null,
      primary key (attempt_id, offset_bytes)
    )`);
    // Sealed bytes do not compress.
    this.addSql(`alter table attempt_log_chunk alter column sealed set storage external`);
  }
}
