import { Migration } from '@mikro-orm/migrations';

/** The keys of blobs in a table of their own, small enough to be rewritten whenever one was deleted. */
export class ContentKeysMigration extends Migration {
  override up(): void {
    this.addSql(`create table content_key (key_id text primary key, key bytea not null)`);
    this.addSql(`alter table blob add column key_id text`);
    this.addSql(`update blob set key_id = coalesce(content_id, encode(digest, 'hex'))`);
    this.addSql(`insert into content_key (key_id, key) select key_id, key from blob`);
    this.addSql(`insert into content_key (key_id, key) select content_id, key from blob_upload`);
    this.addSql(`alter table blob alter column key_id set not null, drop column key`);
    this.addSql(`alter table blob_upload drop column key`);
  }
}
