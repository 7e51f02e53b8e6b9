import { Migration } from '@mikro-orm/migrations';

export class BillsMigration extends Migration {
  override up(): void {
    this.addSql(`create table certificate_chain (
      chain_digest bytea primary key,
      certificates bytea not null
    )`);
    this.addSql(`create table bill (
      job_id text primary key,
      attempt_id text not null,
      receipt_payload bytea not null,
      receipt_signature bytea not null,
      receipt_key_id bytea not null,
      receipt_chain_digest bytea not null,
      settlement_payload bytea not null,
      settlement_key_id bytea not null,
      settlement_chain_digest bytea not null,
      settlement_signature bytea null
    )`);
  }
}
