// The rules of money that no code of ours may break, because the database keeps them:
//   1. The postings of a transaction sum to zero. Judged over each inserting statement, which is stricter
//      than at commit: a transaction is posted whole, by one statement.
//   2. Balances follow from postings: the same trigger carries them over, so nothing else has to.
//   3. No client's balance goes below zero, whatever runs beside it: a check on the one row of the client,
//      which the trigger locks before the node's, so that two settlements never wait for each other.
//   4. What is posted stays: no update, no delete, no truncate.
// The platform's and the operators' accounts have no balance row: every settlement would wait for it.
import { Migration } from '@mikro-orm/migrations';

export class LedgerMigration extends Migration {
  override up(): void {
    this.addSql(`
      create table ledger_transaction (
        transaction_key text primary key,
        kind text not null,
        closes_key text,
        posted_ms bigint not null,
        constraint ledger_transaction_kind_check check (kind in ('credit', 'hold', 'settle', 'release')),
        constraint ledger_transaction_closes_key_unique unique (closes_key),
        constraint ledger_transaction_closes_check check ((kind in ('settle', 'release')) = (closes_key is not null))
      )`);
    this.addSql(`
      create table ledger_posting (
        transaction_key text not null,
        account text not null,
        holder_id text not null,
        microcents bigint not null,
        primary key (transaction_key, account, holder_id),
        constraint ledger_posting_account_check check (account in ('client_available', 'client_held', 'node_pending', 'platform_revenue', 'operator_funding'))
      )`);
    this.addSql(`create index ledger_posting_holder_index on ledger_posting (holder_id, account)`);
    this.addSql(`
      create table client_balance (
        client_id text primary key,
        available_microcents bigint not null,
        held_microcents bigint not null,
        constraint client_balance_available_check check (available_microcents >= 0 and available_microcents <= 1000000000000000000),
        constraint client_balance_held_check check (held_microcents >= 0 and held_microcents <= 1000000000000000000)
      )`);
    this.addSql(`
      create table node_balance (
        node_id text primary key,
        pending_microcents bigint not null,
        settled_jobs bigint not null,
        constraint node_balance_pending_check check (pending_microcents >= 0 and pending_microcents <= 1000000000000000000)
      )`);
    this.addSql(`
      create function ledger_carry_over() returns trigger language plpgsql as $$
      declare
        wrong text;
        client record;
        node record;
      begin
        select p.transaction_key into wrong
          from posted p left join ledger_transaction t on t.transaction_key = p.transaction_key
          group by p.transaction_key
          having sum(p.microcents) <> 0 or count(t.transaction_key) <> count(*)
          limit 1;
        if found then
          raise exception 'posting the transaction %: its postings do not sum to zero', wrong
            using errcode = 'integrity_constraint_violation', constraint = 'ledger_posting_sum';
        end if;

        for client in
          select holder_id,
                 coalesce(sum(microcents) filter (where account = 'client_available'), 0) as available,
                 coalesce(sum(microcents) filter (where account = 'client_held'), 0) as held
            from posted where account in ('client_available', 'client_held')
            group by holder_id order by holder_id
        loop
          update client_balance
             set available_microcents = available_microcents + client.available,
                 held_microcents = held_microcents + client.held
           where client_id = client.holder_id;
          if not found then
            insert into client_balance values (client.holder_id, 0, 0) on conflict do nothing;
            update client_balance
               set available_microcents = available_microcents + client.available,
                   held_microcents = held_microcents + client.held
             where client_id = client.holder_id;
          end if;
        end loop;

        for node in
          select p.holder_id, sum(p.microcents) as pending,
                 count(*) filter (where t.kind = 'settle') as settled
            from posted p join ledger_transaction t on t.transaction_key = p.transaction_key
           where p.account = 'node_pending'
           group by p.holder_id order by p.holder_id
        loop
          insert into node_balance values (node.holder_id, 0, 0) on conflict do nothing;
          update node_balance
             set pending_microcents = pending_microcents + node.pending,
                 settled_jobs = settled_jobs + node.settled
           where node_id = node.holder_id;
        end loop;
        return null;
      end $$`);
    this.addSql(`
      create trigger ledger_posting_carry_over after insert on ledger_posting
        referencing new table as posted for each statement execute function ledger_carry_over()`);
    this.addSql(`
      create function ledger_refuse_change() returns trigger language plpgsql as $$
      begin
        raise exception '% of %: what is posted stays, post a correction instead', tg_op, tg_table_name
          using errcode = 'integrity_constraint_violation';
      end $$`);
    for (const table of ['ledger_transaction', 'ledger_posting']) {
      this.addSql(`
        create trigger ${table}_append_only before update or delete or truncate on ${table}
          for each statement execute function ledger_refuse_change()`);
    }
  }
}
