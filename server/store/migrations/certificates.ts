import { Migration } from '@mikro-orm/migrations';

export class CertificatesMigration extends Migration {
  override up(): void {
    this.addSql(`create table certificate (
      serial text primary key,
      holder_role text not null constraint certificate_holder_role_check
        check (holder_role in ('node', 'client', 'operator')),
      holder_id text not null,
      key_id bytea not null,
      certificate bytea not null,
      issued_ms bigint not null,
      not_after_ms bigint not null,
      revoked_ms bigint null
    )`);
    this.addSql(
      `create index certificate_holder_role_holder_id_index on certificate (holder_role, holder_id)`,
    );
    this.addSql(`create index certificate_revoked_ms_index on certificate (revoked_ms)`);
  }
}
