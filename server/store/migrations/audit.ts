import { Migration } from '@mikro-orm/migrations';

export class AuditMigration extends Migration {
  override up(): void {
    this.addSql(`create table audit_entry (
      entry_number bigserial primary key,
      at_ms bigint not null,
      actor text not null,
      action text not null,
      subject text not null,
      details jsonb not null
    )`);
    // An entry is never changed or taken away, not even by a mistake of ours.
    this.addSql(`create function refuse_audit_change() returns trigger language plpgsql as $$
      begin raise exception 'audit entries are never changed'; end $$`);
    this.addSql(
      `create trigger audit_entry_is_final before update or delete on audit_entry for each row execute function refuse_audit_change()`,
    );
    this.addSql(
      `create trigger audit_entry_is_kept before truncate on audit_entry for each statement execute function refuse_audit_change()`,
    );
  }
}
