import { Migration } from '@mikro-orm/migrations';

export class JobsMigration extends Migration {
  override up(): void {
    this.addSql(`create table module (
      client_id text not null,
      digest bytea not null,
      size_bytes bigint not null,
      exports_start boolean not null,
      exports_run boolean not null,
      min_memory_pages int not null,
      registered_ms bigint not null,
      primary key (client_id, digest)
    )`);
    this.addSql(
      `create index module_client_id_registered_ms_digest_index on module (client_id, registered_ms, digest)`,
    );
    this.addSql(`create table job (
      job_id text primary key,
      client_id text not null,
      request_id text not null,
      body_digest bytea not null,
      state text not null constraint job_state_check
        check (state in ('queued', 'running', 'settling', 'ended')),
      revision bigint not null,
      cancel_requested boolean not null,
      module_digest bytea not null,
      module_bytes bigint not null,
      input_digest bytea not null,
      input_bytes bigint not null,
      entry text not null constraint job_entry_check check (entry in ('START', 'RUN')),
      stdout_as_result boolean not null,
      debug_logs boolean not null,
      fuel_limit bigint not null,
      deadline_epochs int not null,
      memory_limit_bytes bigint not null,
      output_limit_bytes bigint not null,
      log_limit_bytes bigint not null,
      profile text not null,
      profile_digest bytea not null,
      price_base_microcents bigint not null,
      price_per_mib_module_microcents bigint not null,
      price_per_mib_io_microcents bigint not null,
      price_per_million_fuel_microcents bigint not null,
      price_share_basis_points int not null,
      seed bytea not null,
      hold_microcents bigint not null,
      submitted_ms bigint not null,
      "end" text null,
      end_detail text null,
      ended_ms bigint null,
      fuel bigint null,
      charge_microcents bigint null,
      output_digest bytea null,
      output_bytes bigint null,
      constraint job_client_id_request_id_unique unique (client_id, request_id)
    )`);
    this.addSql(
      `create index job_state_submitted_ms_job_id_index on job (state, submitted_ms, job_id)`,
    );
    this.addSql(
      `create index job_client_id_submitted_ms_job_id_index on job (client_id, submitted_ms, job_id)`,
    );
    this.addSql(`create table attempt (
      attempt_id text primary key,
      job_id text not null,
      fence int not null,
      node_id text not null,
      state text not null constraint attempt_state_check
        check (state in ('leased', 'acknowledged', 'completed', 'failed')),
      leased_ms bigint not null,
      acknowledge_by_ms bigint not null,
      lease_end_ms bigint not null,
      ended_ms bigint null,
      failure text null,
      task_id bytea not null,
      order_payload bytea not null,
      order_key_id bytea not null,
      order_chain_digest bytea not null,
      order_signature bytea null,
      node_key_id bytea not null,
      node_chain_digest bytea not null,
      receipt_digest bytea null,
      constraint attempt_job_id_fence_unique unique (job_id, fence),
      constraint attempt_task_id_unique unique (task_id)
    )`);
    this.addSql(`create index attempt_state_node_id_index on attempt (state, node_id)`);
  }
}
