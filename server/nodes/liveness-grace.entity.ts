import { defineEntity, p } from '@mikro-orm/core';

/** One row: how the whole fleet is judged. */
export const LivenessGraceSchema = defineEntity({
  name: 'LivenessGrace',
  tableName: 'liveness_grace',
  checks: [{ name: 'liveness_grace_one_row_check', expression: 'grace_id = 1' }],
  properties: {
    /** 1 */
    graceId: p.integer().primary().autoincrement(false),
    /** Until then nobody loses a node or ends an acknowledged lease. */
    untilMs: p.bigint('number'),
    /** When some replica last judged the fleet. */
    observedMs: p.bigint('number'),
    /** The fleet's present silence has had its grace; the next one is another silence's. */
    isDamped: p.boolean(),
  },
});

export class LivenessGrace extends LivenessGraceSchema.class {}
LivenessGraceSchema.setClass(LivenessGrace);
