import { Migration } from '@mikro-orm/migrations';

/** What a job says of when and where it may run, what its attempts say of how far they are, and what nodes say of themselves. */
export class TimeoutsAndConstraintsMigration extends Migration {
  override up(): void {
    this.addSql(`alter table job
      add column priority int not null default 0,
      add column required_labels jsonb not null default '{}',
      add column least_isolation_level int not null default 0,
      add column queue_timeout_ms bigint not null default 3600000,
      add column total_timeout_ms bigint null,
      add column submit_request_id text not null default '',
      add column cancel_reason text null constraint job_cancel_reason_check
        check (cancel_reason in ('CLIENT', 'TOTAL_TIMEOUT')),
      add column queued_ms bigint null,
      add column queue_end_ms bigint null`);
    this.addSql(`update job set queued_ms = submitted_ms, queue_end_ms = submitted_ms + 3600000,
      cancel_reason = case when cancel_requested then 'CLIENT' end`);
    this.addSql(`alter table job
      alter column priority drop default,
      alter column required_labels drop default,
      alter column least_isolation_level drop default,
      alter column queue_timeout_ms drop default,
      alter column submit_request_id drop default,
      alter column queued_ms set not null,
      alter column queue_end_ms set not null,
      drop column cancel_requested`);
    this.addSql(`create index job_state_queue_end_ms_index on job (state, queue_end_ms)`);
    this.addSql(`alter table attempt add column progress_fuel bigint null`);
    this.addSql(`alter table node
      add column labels jsonb not null default '{}',
      add column isolation_level text not null default 'PROCESS'
        constraint node_isolation_level_check check (isolation_level in ('PROCESS', 'NAMESPACES'))`);
    this.addSql(`alter table node
      alter column labels drop default, alter column isolation_level drop default`);
  }
}
