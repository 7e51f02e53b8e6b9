import { Migration } from '@mikro-orm/migrations';

/** When a client said that it has what a job left, when that was erased, and how uses of blobs end by time. */
export class RetentionMigration extends Migration {
  override up(): void {
    this.addSql(`alter table job
      add column output_acknowledged_ms bigint null,
      add column erased_ms bigint null`);
    this.addSql(
      `create index job_kept_index on job (ended_ms) where state = 'ended' and erased_ms is null`,
    );
    this.addSql(`alter table blob_use drop constraint blob_use_holder_kind_check,
      add constraint blob_use_holder_kind_check
        check (holder_kind in ('client', 'module', 'job', 'attempt', 'output'))`);
    this.addSql(`update blob_use u set holder_kind = 'module' where u.holder_kind = 'client'
      and exists (select from module m where m.client_id = u.client_id and m.digest = u.digest)`);
    this.addSql(
      `create index blob_use_upload_index on blob_use (since_ms) where holder_kind = 'client'`,
    );
    this.addSql(
      `create index blob_use_attempt_index on blob_use (holder_id) where holder_kind = 'attempt'`,
    );
    // A row for each statement that deleted keys, until no file has them.
    this.addSql(`create table content_key_end (
      number bigserial primary key,
      ended_ms bigint not null
    )`);
    this.addSql(`
      create function content_key_note_end() returns trigger language plpgsql as $$
      begin
        if exists (select from ended) then
          insert into content_key_end (ended_ms) values (gap_junction_now_ms());
        end if;
        return null;
      end $$`);
    this.addSql(`
      create trigger content_key_note_end after delete on content_key
        referencing old table as ended for each statement execute function content_key_note_end()`);
    this.addSql(`create table content_key_rewriting (
      only_row int primary key constraint content_key_rewriting_only_row_check check (only_row = 1),
      rewritten_ms bigint not null,
      took_ms int not null
    )`);
    this.addSql(`insert into content_key_rewriting values (1, 0, 0)`);
  }
}
