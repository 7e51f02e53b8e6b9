import { defineEntity, p } from '@mikro-orm/core';

/**
 * The key of one content, apart from its bytes: this table is small and can be rewritten often, so that a
 * deleted key is in no file any more.
 */
export const ContentKeySchema = defineEntity({
  name: 'ContentKey',
  tableName: 'content_key',
  properties: {
    keyId: p.text().primary(),
    /** AES-256, drawn for this content alone; without it the bytes are lost, wherever they lie. */
    key: p.uint8array(),
  },
});
export class ContentKey extends ContentKeySchema.class {}
ContentKeySchema.setClass(ContentKey);
