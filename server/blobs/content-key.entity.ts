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

/** Deletions of keys since the table was rewritten; a trigger writes them. */
export const ContentKeyEndSchema = defineEntity({
  name: 'ContentKeyEnd',
  tableName: 'content_key_end',
  properties: {
    number: p.bigint('bigint').primary().autoincrement(),
    endedMs: p.bigint('number'),
  },
});
export class ContentKeyEnd extends ContentKeyEndSchema.class {}
ContentKeyEndSchema.setClass(ContentKeyEnd);

/** When any replica last began to rewrite the table, and how long that took, done or not. One row. */
export const ContentKeyRewritingSchema = defineEntity({
  name: 'ContentKeyRewriting',
  tableName: 'content_key_rewriting',
  checks: [{ name: 'content_key_rewriting_only_row_check', expression: 'only_row = 1' }],
  properties: {
    onlyRow: p.integer().primary().autoincrement(false),
    rewrittenMs: p.bigint('number'),
    tookMs: p.integer(),
  },
});
export class ContentKeyRewriting extends ContentKeyRewritingSchema.class {}
ContentKeyRewritingSchema.setClass(ContentKeyRewriting);
