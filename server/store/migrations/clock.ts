import { Migration } from '@mikro-orm/migrations';

/**
 * The one clock of all SQL. A simulation replaces the first function by a virtual one; no other statement
 * reads a clock.
 */
export class ClockMigration extends Migration {
  override up(): void {
    this.addSql(
      `create function gap_junction_now() returns timestamptz language sql volatile as 'select clock_timestamp()'`,
    );
    this.addSql(
      `create function gap_junction_now_ms() returns bigint language sql volatile as 'select (extract(epoch from gap_junction_now()) * 1000)::bigint'`,
    );
  }
}
