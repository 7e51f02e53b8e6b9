import { Migration } from '@mikro-orm/migrations';

export class ClientsMigration extends Migration {
  override up(): void {
    this.addSql(`create table client (
      client_id text primary key,
      name text not null,
      created_ms bigint not null
    )`);
    this.addSql(`create index client_created_ms_index on client (created_ms)`);
    this.addSql(`create table operator (
      operator_id text primary key,
      name text not null,
      created_ms bigint not null
    )`);
  }
}
