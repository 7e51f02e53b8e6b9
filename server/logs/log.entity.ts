// What guests wrote to stdout and stderr, an attempt at a time, where the job asked for it.
import { defineEntity, p } from '@mikro-orm/core';

export const AttemptLogSchema = defineEntity({
  name: 'AttemptLog',
  tableName: 'attempt_log',
  properties: {
    attemptId: p.text().primary(),
    jobId: p.text().index('attempt_log_job_id_index'),
    /** Of content_key. */
    keyId: p.text(),
    sizeBytes: p.integer(),
  },
});
export class AttemptLog extends AttemptLogSchema.class {}
AttemptLogSchema.setClass(AttemptLog);

export const AttemptLogChunkSchema = defineEntity({
  name: 'AttemptLogChunk',
  tableName: 'attempt_log_chunk',
  properties: {
    attemptId: p.text().primary(),
    /** Of its first byte, in the attempt's logs. */
    offsetBytes: p.integer().primary(),
    sealed: p.uint8array(),
  },
});
export class AttemptLogChunk extends AttemptLogChunkSchema.class {}
AttemptLogChunkSchema.setClass(AttemptLogChunk);
