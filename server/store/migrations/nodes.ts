import { Migration } from '@mikro-orm/migrations';

export class NodesMigration extends Migration {
  override up(): void {
    this.addSql(`create table node (
      node_id text primary key,
      account_id text not null,
      standing text not null constraint node_standing_check
        check (standing in ('enrolled', 'draining', 'revoked')),
      enrolled_ms bigint not null,
      renewal_counter bigint not null,
      key_id bytea not null,
      certificate bytea not null,
      issuer_certificate bytea not null,
      certificate_serial text not null,
      certificate_not_after_ms bigint not null,
      last_beat_ms bigint null,
      lost_ms bigint null,
      slots int not null,
      agent_version text not null,
      engine_version text not null,
      resident_memory_bytes bigint not null,
      fuel_since_start bigint not null
    )`);
    // One account, one node, for ever: the database's own promise.
    this.addSql(`alter table node add constraint node_account_id_unique unique (account_id)`);
    this.addSql(`create index node_enrolled_ms_node_id_index on node (enrolled_ms, node_id)`);
    this.addSql(`create table enrolment (
      state_digest bytea primary key,
      key_digest bytea not null,
      channel text not null constraint enrolment_channel_check
        check (channel in ('loopback', 'return_code')),
      expires_ms bigint not null,
      stripe_code_digest bytea null,
      account_id text null,
      return_code_digest bytea null,
      node_id text null,
      certificate bytea null,
      issuer_certificate bytea null,
      certificate_serial text null
    )`);
    this.addSql(`create index enrolment_expires_ms_index on enrolment (expires_ms)`);
  }
}
