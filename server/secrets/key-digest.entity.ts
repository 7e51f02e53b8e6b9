import { defineEntity, p } from '@mikro-orm/core';

export const KeyDigestSchema = defineEntity({
  name: 'KeyDigest',
  tableName: 'key_digest',
  properties: {
    /** As in `keyDigestsOf`. */
    name: p.text().primary(),
    digest: p.blob(),
    recordedMs: p.bigint('number'),
  },
});

export class KeyDigest extends KeyDigestSchema.class {}
KeyDigestSchema.setClass(KeyDigest);
