import { Migration } from '@mikro-orm/migrations';

/** What several replicas must know of one fleet: who hears whom, since when, and when nobody may be lost. */
export class FleetMigration extends Migration {
  override up(): void {
    this.addSql(`alter table node
      drop constraint node_standing_check,
      add constraint node_standing_check
        check (standing in ('enrolled', 'cordoned', 'draining', 'revoked')),
      add column lost_period_ms bigint null,
      add column newest_stream_id bytea null,
      add column newest_stream_first_beat_ms bigint null,
      add column revision bigint not null default 0,
      add column changed_ms bigint not null default 0`);
    this.addSql(`alter table node
      alter column revision drop default, alter column changed_ms drop default`);
    // What is written with every beat now was 60 s before.
    this.addSql(`update node set lost_period_ms = 60000 where last_beat_ms is not null`);
    this.addSql(`alter table node add constraint node_lost_period_ms_check
      check ((last_beat_ms is null) = (lost_period_ms is null))`);
    this.addSql(`create index node_changed_ms_index on node (changed_ms)`);
    // One row, so that whoever changes it has the whole fleet's.
    this.addSql(`create table liveness_grace (
      grace_id int not null primary key constraint liveness_grace_one_row_check check (grace_id = 1),
      until_ms bigint not null,
      observed_ms bigint not null,
      is_damped boolean not null
    )`);
    this.addSql(`insert into liveness_grace (grace_id, until_ms, observed_ms, is_damped)
      values (1, 0, 0, false)`);
  }
}
