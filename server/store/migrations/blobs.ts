// Blobs, who uses them, uploads under way, and where large contents lie in the database.
//
// What a client has stored is counted when the transaction commits (deferred triggers), so that the
// count's row is the last lock that any transaction takes: it never waits for another while holding it.
import { Migration } from '@mikro-orm/migrations';

export class BlobsMigration extends Migration {
  override up(): void {
    this.addSql(`
      create table blob (
        digest bytea primary key,
        size_bytes int not null,
        key bytea not null,
        sealed bytea,
        content_id text,
        created_ms bigint not null,
        constraint blob_place_check check ((sealed is null) <> (content_id is null))
      )`);
    // Sealed bytes do not compress.
    this.addSql(`alter table blob alter column sealed set storage external`);
    this.addSql(`
      create table blob_use (
        client_id text not null,
        digest bytea not null,
        holder_kind text not null,
        holder_id text not null,
        counted_bytes int not null,
        since_ms bigint not null,
        primary key (client_id, digest, holder_kind, holder_id),
        constraint blob_use_holder_kind_check check (holder_kind in ('client', 'job', 'attempt', 'output')),
        constraint blob_use_digest_foreign foreign key (digest) references blob (digest)
      )`);
    this.addSql(`create index blob_use_digest_index on blob_use (digest)`);
    this.addSql(`
      create table blob_upload (
        holder_kind text not null,
        holder_id text not null,
        digest bytea not null,
        client_id text not null,
        size_bytes int not null,
        counted_bytes int not null,
        key bytea not null,
        content_id text not null,
        last_byte_ms bigint not null,
        primary key (holder_kind, holder_id, digest),
        constraint blob_upload_holder_kind_check check (holder_kind in ('client', 'attempt'))
      )`);
    this.addSql(`create index blob_upload_last_byte_ms_index on blob_upload (last_byte_ms)`);
    // Blobs that lost a use, for the sweep to look at: it never has to look at all of them.
    this.addSql(`create table blob_use_end (number bigserial primary key, digest bytea not null)`);
    this.addSql(`
      create function blob_note_use_end() returns trigger language plpgsql as $$
      begin
        insert into blob_use_end (digest) select distinct digest from ended;
        return null;
      end $$`);
    this.addSql(`
      create trigger blob_use_note_end after delete on blob_use
        referencing old table as ended for each statement execute function blob_note_use_end()`);
    // Contents that no row needs any more; the key is gone already, the bytes follow.
    this.addSql(`create table blob_erasure (content_id text primary key)`);
    this.addSql(`
      create table blob_chunk (
        content_id text not null,
        chunk_index int not null,
        sealed bytea not null,
        primary key (content_id, chunk_index)
      )`);
    this.addSql(`alter table blob_chunk alter column sealed set storage external`);
    this.addSql(`
      create table client_storage (
        client_id text primary key,
        used_bytes bigint not null,
        constraint client_storage_used_check check (used_bytes >= 0)
      )`);
    this.addSql(`
      create function blob_count() returns trigger language plpgsql as $$
      begin
        if tg_op = 'INSERT' then
          insert into client_storage values (new.client_id, new.counted_bytes)
            on conflict (client_id) do update set used_bytes = client_storage.used_bytes + excluded.used_bytes;
        else
          update client_storage set used_bytes = used_bytes - old.counted_bytes where client_id = old.client_id;
        end if;
        return null;
      end $$`);
    for (const table of ['blob_use', 'blob_upload']) {
      this.addSql(`
        create constraint trigger ${table}_count after insert on ${table}
          deferrable initially deferred for each row when (new.counted_bytes <> 0) execute function blob_count()`);
      this.addSql(`
        create constraint trigger ${table}_discount after delete on ${table}
          deferrable initially deferred for each row when (old.counted_bytes <> 0) execute function blob_count()`);
    }
  }
}
