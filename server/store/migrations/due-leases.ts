import { Migration } from '@mikro-orm/migrations';

/** Finds leases that are over, and jobs to be stopped, among all that were ever given. */
export class DueLeasesMigration extends Migration {
  override up(): void {
    this.addSql(
      `create index attempt_due_index on attempt ((case when state = 'leased' then least(acknowledge_by_ms, lease_end_ms) else lease_end_ms end)) where state in ('leased', 'acknowledged')`,
    );
    this.addSql(
      `create index job_to_cancel_index on job (job_id) where state = 'running' and cancel_reason is not null`,
    );
  }
}
