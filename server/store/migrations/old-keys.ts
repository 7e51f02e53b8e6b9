import { Migration } from '@mikro-orm/migrations';

/**
 * Keys that blobs had in their own rows are still in the files of those tables: a dropped column's values stay
 * until its rows are written anew. So they are, once, or no blob of before could ever be erased.
 */
export class OldKeysMigration extends Migration {
  override up(): void {
    for (const table of ['blob', 'blob_upload']) {
      this.addSql(`cluster ${table} using ${table}_pkey`);
      this.addSql(`alter table ${table} set without cluster`);
    }
  }
}
