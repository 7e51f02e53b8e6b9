// The queue between clients, a row a client, and what each burnt of late. Written by a trigger on job: see
// the migration.
import { defineEntity, p } from '@mikro-orm/core';

export const ClientQueueSchema = defineEntity({
  name: 'ClientQueue',
  tableName: 'client_queue',
  indexes: [
    {
      name: 'client_queue_waiting_index',
      expression:
        'create index client_queue_waiting_index on client_queue (virtual_time, client_id) where queued_jobs > 0',
    },
    { name: 'client_queue_last_start_index', properties: ['lastStart'] },
  ],
  properties: {
    clientId: p.text().primary(),
    queuedJobs: p.integer(),
    /** That hold a lease. */
    runningJobs: p.integer(),
    /** Fuel limits of its jobs that are queued or run. */
    openFuel: p.bigint('bigint'),
    /** Burnt by its jobs that ended: what ClientFuelMinute has. */
    endedFuel: p.bigint('bigint'),
    /** Where its next job starts, in thousands of fuel at weight 1. */
    virtualTime: p.bigint('bigint'),
    /** Where its last leased job started. */
    lastStart: p.bigint('bigint'),
  },
});
export class ClientQueueRow extends ClientQueueSchema.class {}
ClientQueueSchema.setClass(ClientQueueRow);

export const ClientFuelMinuteSchema = defineEntity({
  name: 'ClientFuelMinute',
  tableName: 'client_fuel_minute',
  properties: {
    clientId: p.text().primary(),
    /** Minutes since 1970, by the database's clock. Those of the last hour are kept. */
    minute: p.bigint('number').primary(),
    fuel: p.bigint('bigint'),
  },
});
export class ClientFuelMinute extends ClientFuelMinuteSchema.class {}
ClientFuelMinuteSchema.setClass(ClientFuelMinute);
