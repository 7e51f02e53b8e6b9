import { defineEntity, p } from '@mikro-orm/core';

/** What an operator set; 0 is the control plane's default. A client without a row has the defaults. */
export const ClientQuotaSchema = defineEntity({
  name: 'ClientQuota',
  tableName: 'client_quota',
  properties: {
    clientId: p.text().primary(),
    jobsInFlight: p.integer(),
    jobsQueued: p.integer(),
    fuelPerHour: p.bigint('bigint'),
    blobBytes: p.bigint('bigint'),
    weight: p.integer(),
  },
});

export class ClientQuotaRow extends ClientQuotaSchema.class {}
ClientQuotaSchema.setClass(ClientQuotaRow);
