// Quotas of clients, and the queue between them: what each uses and has had, a row a client.
//
// The counts follow from the jobs, by a trigger: whoever changes a job's state need not know of them. It
// takes clients in the order of their ids, after the jobs and before the balances, as everybody does.
// What is added when a job is submitted stands in queue-store.ts, since it may be refused.
//
// virtual_time is in thousands of fuel at weight 1; its rules stand in server/jobs/queue.ts.
import { Migration } from '@mikro-orm/migrations';

export class FairQueueMigration extends Migration {
  override up(): void {
    this.addSql(`
      create table client_quota (
        client_id text primary key,
        jobs_in_flight int not null,
        jobs_queued int not null,
        fuel_per_hour bigint not null,
        blob_bytes bigint not null,
        weight int not null
      )`);
    this.addSql(`
      create table client_queue (
        client_id text primary key,
        queued_jobs int not null,
        running_jobs int not null,
        open_fuel bigint not null,
        ended_fuel bigint not null,
        virtual_time bigint not null,
        last_start bigint not null
      )`);
    this.addSql(`
      insert into client_queue
      select client_id, count(*) filter (where state = 'queued'), count(*) filter (where state = 'running'),
             sum(fuel_limit), 0, 0, 0
        from job where state in ('queued', 'running') group by client_id`);
    this.addSql(
      `create index client_queue_waiting_index on client_queue (virtual_time, client_id) where queued_jobs > 0`,
    );
    this.addSql(`create index client_queue_last_start_index on client_queue (last_start)`);
    this.addSql(`
      create table client_fuel_minute (
        client_id text not null,
        minute bigint not null,
        fuel bigint not null,
        primary key (client_id, minute)
      )`);
    // Of one client, the higher priority first, then the older.
    this.addSql(
      `create index job_queue_index on job (client_id, (9 - priority), submitted_ms, job_id) where state = 'queued'`,
    );
    this.addSql(`drop index job_state_submitted_ms_job_id_index`);
    this.addSql(`
      create function client_queue_follow() returns trigger language plpgsql as $$
      declare
        moved record;
        now_start bigint;
        this_minute bigint;
        client_weight int;
      begin
        for moved in
          select n.client_id,
                 count(*) filter (where n.state = 'queued') - count(*) filter (where o.state = 'queued') as queued,
                 count(*) filter (where n.state = 'running') - count(*) filter (where o.state = 'running') as running,
                 count(*) filter (where n.state = 'running') as leases,
                 coalesce(sum(n.fuel_limit) filter (where n.state in ('settling', 'ended')), 0)::bigint as closed_fuel,
                 coalesce(sum(n.fuel) filter (where n.state = 'settling'), 0)::bigint as burnt_fuel
            from old_job o join new_job n on n.job_id = o.job_id
           where o.state in ('queued', 'running') and n.state <> o.state
           group by n.client_id order by n.client_id
        loop
          if now_start is null then
            select coalesce(max(last_start), 0) into now_start from client_queue;
          end if;
          select nullif(weight, 0) into client_weight from client_quota where client_id = moved.client_id;
          client_weight := coalesce(client_weight, 1);
          update client_queue q
             set queued_jobs = q.queued_jobs + moved.queued,
                 running_jobs = q.running_jobs + moved.running,
                 open_fuel = q.open_fuel - moved.closed_fuel,
                 ended_fuel = q.ended_fuel + moved.burnt_fuel,
                 virtual_time =
                   case when moved.leases > 0
                     then greatest(q.virtual_time, now_start) + moved.leases * (10000 / client_weight)
                     else q.virtual_time end
                   + (moved.burnt_fuel + 1000 * client_weight - 1) / (1000 * client_weight),
                 last_start =
                   case when moved.leases > 0
                     then greatest(q.virtual_time, now_start) + (moved.leases - 1) * (10000 / client_weight)
                     else q.last_start end
           where q.client_id = moved.client_id;
          if moved.burnt_fuel > 0 then
            this_minute := gap_junction_now_ms() / 60000;
            insert into client_fuel_minute as f values (moved.client_id, this_minute, moved.burnt_fuel)
              on conflict (client_id, minute) do update set fuel = f.fuel + excluded.fuel;
            if not exists (
              select from client_fuel_minute
               where client_id = moved.client_id and minute <= this_minute - 60 limit 1) then
              continue;
            end if;
            with expired as (
              delete from client_fuel_minute
               where client_id = moved.client_id and minute <= this_minute - 60 returning fuel
            )
            update client_queue set ended_fuel = ended_fuel - (select sum(fuel) from expired)
             where client_id = moved.client_id;
          end if;
        end loop;
        return null;
      end $$`);
    this.addSql(`
      create trigger job_queue_follow after update on job
        referencing old table as old_job new table as new_job
        for each statement execute function client_queue_follow()`);
  }
}
