import { Migration } from '@mikro-orm/migrations';

/** Tells which of a node's Work streams is the newest, whichever replica they are open at. */
export class WorkStreamsMigration extends Migration {
  override up(): void {
    this.addSql(`alter table node add column work_streams bigint not null default 0`);
    this.addSql(`alter table node alter column work_streams drop default`);
  }
}
