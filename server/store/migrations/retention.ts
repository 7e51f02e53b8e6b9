import { Migration } from '@mikro-orm/migrations';

/** When a client said that it has what a job left, and when that was erased. */
export class RetentionMigration extends Migration {
  override up(): void {
    this.addSql(`alter table job
      add column output_acknowledged_ms bigint null,
      add column erased_ms bigint null`);
    // Jobs from before let go of their input when they ended; what they gave is kept as any other's.
    this.addSql(
      `create index job_kept_index on job (ended_ms) where state = 'ended' and erased_ms is null`,
    );
  }
}
