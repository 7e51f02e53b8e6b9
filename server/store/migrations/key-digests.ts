import { Migration } from '@mikro-orm/migrations';

/** Which keys this database is used with, so that a replica with others is refused. */
export class KeyDigestsMigration extends Migration {
  override up(): void {
    this.addSql(`create table key_digest (
      name text primary key,
      digest bytea not null,
      recorded_ms bigint not null
    )`);
  }
}
