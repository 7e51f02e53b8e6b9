import { defineEntity, p } from '@mikro-orm/core';

export const ClientSchema = defineEntity({
  name: 'Client',
  tableName: 'client',
  properties: {
    clientId: p.text().primary(),
    /** Chosen by the operator. */
    name: p.text(),
    createdMs: p.bigint('number').index(),
  },
});

export class Client extends ClientSchema.class {}
ClientSchema.setClass(Client);

export const OperatorSchema = defineEntity({
  name: 'Operator',
  tableName: 'operator',
  properties: {
    operatorId: p.text().primary(),
    name: p.text(),
    createdMs: p.bigint('number'),
  },
});

export class Operator extends OperatorSchema.class {}
OperatorSchema.setClass(Operator);
