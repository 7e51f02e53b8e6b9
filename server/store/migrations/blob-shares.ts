import { Migration } from '@mikro-orm/migrations';

/**
 * A blob counts against its client's share from its first use that counts until the last has ended: once,
 * however many there are.
 */
export class BlobSharesMigration extends Migration {
  override up(): void {
    for (const trigger of ['blob_use_count', 'blob_use_discount']) {
      this.addSql(`drop trigger ${trigger} on blob_use`);
    }
    // A job's use of a module counts as the module's, which stays for as long; an attempt's, never.
    this.addSql(`
      update blob_use u set counted_bytes = greatest(b.size_bytes, 4096)
        from blob b
       where b.digest = u.digest and u.counted_bytes = 0
         and (u.holder_kind in ('client', 'module') or (u.holder_kind in ('job', 'output') and not exists (
           select from blob_use m
            where m.client_id = u.client_id and m.digest = u.digest and m.holder_kind = 'module')))`);
    this.addSql(`
      create table client_blob (
        client_id text not null,
        digest bytea not null,
        counted_bytes int not null,
        uses int not null,
        primary key (client_id, digest)
      )`);
    this.addSql(`
      insert into client_blob (client_id, digest, counted_bytes, uses)
      select client_id, digest, max(counted_bytes), count(*) from blob_use
       where counted_bytes > 0 group by client_id, digest`);
    this.addSql(`
      insert into client_storage (client_id, used_bytes)
      select client_id, sum(counted_bytes) from (
        select client_id, counted_bytes from client_blob
        union all select client_id, counted_bytes from blob_upload
        union all select client_id, 0 from client_storage) counted
       group by client_id
      on conflict (client_id) do update set used_bytes = excluded.used_bytes`);
    // The client's row is locked first: whoever counts for a client sees what all before it counted.
    this.addSql(`
      create function blob_use_count() returns trigger language plpgsql as $$
      declare
        client text := coalesce(new.client_id, old.client_id);
        uses_now int;
        counted int;
      begin
        perform from client_storage where client_id = client for update;
        if not found then
          insert into client_storage values (client, 0) on conflict (client_id) do nothing;
          perform from client_storage where client_id = client for update;
        end if;
        if tg_op <> 'DELETE' and new.counted_bytes > 0 then
          insert into client_blob as b values (client, new.digest, new.counted_bytes, 1)
            on conflict (client_id, digest) do update set uses = b.uses + 1 returning uses into uses_now;
          if uses_now = 1 then
            update client_storage set used_bytes = used_bytes + new.counted_bytes where client_id = client;
          end if;
        end if;
        if tg_op <> 'INSERT' and old.counted_bytes > 0 then
          update client_blob set uses = uses - 1 where client_id = client and digest = old.digest
            returning uses, counted_bytes into uses_now, counted;
          if uses_now = 0 then
            delete from client_blob where client_id = client and digest = old.digest;
            update client_storage set used_bytes = used_bytes - counted where client_id = client;
          end if;
        end if;
        return null;
      end $$`);
    this.addSql(`
      create constraint trigger blob_use_count after insert on blob_use
        deferrable initially deferred for each row when (new.counted_bytes <> 0) execute function blob_use_count()`);
    this.addSql(`
      create constraint trigger blob_use_recount after update of counted_bytes on blob_use
        deferrable initially deferred for each row when (new.counted_bytes <> old.counted_bytes)
        execute function blob_use_count()`);
    this.addSql(`
      create constraint trigger blob_use_discount after delete on blob_use
        deferrable initially deferred for each row when (old.counted_bytes <> 0) execute function blob_use_count()`);
  }
}
