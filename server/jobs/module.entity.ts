import { defineEntity, p } from '@mikro-orm/core';

export const ModuleSchema = defineEntity({
  name: 'Module',
  tableName: 'module',
  indexes: [{ properties: ['clientId', 'registeredMs', 'digest'] }],
  properties: {
    clientId: p.text().primary(),
    /** SHA-256 of the module's bytes. */
    digest: p.blob().primary(),
    sizeBytes: p.bigint('bigint'),
    exportsStart: p.boolean(),
    exportsRun: p.boolean(),
    minMemoryPages: p.integer(),
    registeredMs: p.bigint('number'),
  },
});

export class ModuleRow extends ModuleSchema.class {}
ModuleSchema.setClass(ModuleRow);
