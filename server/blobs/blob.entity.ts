// Blobs, their uses, uploads under way, and what is to be erased.
import { defineEntity, p } from '@mikro-orm/core';
import { HOLDER_KINDS, UPLOADER_KINDS } from './blob.ts';

export const BlobSchema = defineEntity({
  name: 'Blob',
  tableName: 'blob',
  checks: [
    {
      name: 'blob_place_check',
      expression: '(sealed is null) <> (content_id is null)',
    },
  ],
  properties: {
    digest: p.uint8array().primary(),
    sizeBytes: p.integer(),
    /** Of content_key; erasing that row erases the bytes, wherever they lie. */
    keyId: p.text(),
    /** The content itself, sealed, where it is short. */
    sealed: p.uint8array().nullable(),
    /** Where a large content lies: the name of its chunks in BlobContents. */
    contentId: p.text().nullable(),
    createdMs: p.bigint('number'),
  },
});
export class Blob extends BlobSchema.class {}
BlobSchema.setClass(Blob);

/** Who needs a blob. One without a use is erased. */
export const BlobUseSchema = defineEntity({
  name: 'BlobUse',
  tableName: 'blob_use',
  indexes: [
    {
      name: 'blob_use_upload_index',
      properties: ['sinceMs'],
      where: `holder_kind = 'client'`,
    },
    {
      name: 'blob_use_attempt_index',
      properties: ['holderId'],
      where: `holder_kind = 'attempt'`,
    },
  ],
  properties: {
    /** On whose behalf: who may read it, and whose share of the store it counts against. */
    clientId: p.text().primary(),
    blob: () => p.manyToOne(Blob).primary().name('digest').index('blob_use_digest_index'),
    holderKind: p.enum(HOLDER_KINDS).primary(),
    holderId: p.text().primary(),
    /** 0 of an attempt, and of a job where its client has the blob as a module, which counts for as long. */
    countedBytes: p.integer(),
    sinceMs: p.bigint('number'),
  },
});
export class BlobUse extends BlobUseSchema.class {}
BlobUseSchema.setClass(BlobUse);

/** A large blob of which a part is stored. */
export const BlobUploadSchema = defineEntity({
  name: 'BlobUpload',
  tableName: 'blob_upload',
  properties: {
    holderKind: p.enum(UPLOADER_KINDS).primary(),
    holderId: p.text().primary(),
    digest: p.uint8array().primary(),
    clientId: p.text(),
    sizeBytes: p.integer(),
    countedBytes: p.integer(),
    /** Also names its key. */
    contentId: p.text(),
    lastByteMs: p.bigint('number').index('blob_upload_last_byte_ms_index'),
    /** Rises with each stream that goes on with it: only the newest may write. */
    turn: p.integer(),
  },
});
export class BlobUpload extends BlobUploadSchema.class {}
BlobUploadSchema.setClass(BlobUpload);

/** Blobs that lost a use since the last sweep. */
export const BlobUseEndSchema = defineEntity({
  name: 'BlobUseEnd',
  tableName: 'blob_use_end',
  properties: {
    number: p.bigint('bigint').primary().autoincrement(),
    digest: p.uint8array(),
  },
});
export class BlobUseEnd extends BlobUseEndSchema.class {}
BlobUseEndSchema.setClass(BlobUseEnd);

/** Contents whose bytes nothing needs any more. */
export const BlobErasureSchema = defineEntity({
  name: 'BlobErasure',
  tableName: 'blob_erasure',
  properties: { contentId: p.text().primary() },
});
export class BlobErasure extends BlobErasureSchema.class {}
BlobErasureSchema.setClass(BlobErasure);

/** Chunks of large contents, where the database keeps them. */
export const BlobChunkSchema = defineEntity({
  name: 'BlobChunk',
  tableName: 'blob_chunk',
  properties: {
    contentId: p.text().primary(),
    chunkIndex: p.integer().primary(),
    sealed: p.uint8array(),
  },
});
export class BlobChunk extends BlobChunkSchema.class {}
BlobChunkSchema.setClass(BlobChunk);

/** What counts against a client's share: a blob once, however many of its uses count. */
export const ClientBlobSchema = defineEntity({
  name: 'ClientBlob',
  tableName: 'client_blob',
  properties: {
    clientId: p.text().primary(),
    digest: p.uint8array().primary(),
    countedBytes: p.integer(),
    /** Those that count; at least 1. */
    uses: p.integer(),
  },
});
export class ClientBlob extends ClientBlobSchema.class {}
ClientBlobSchema.setClass(ClientBlob);

/** How much of the store a client fills. */
export const ClientStorageSchema = defineEntity({
  name: 'ClientStorage',
  tableName: 'client_storage',
  checks: [{ name: 'client_storage_used_check', expression: 'used_bytes >= 0' }],
  properties: {
    clientId: p.text().primary(),
    usedBytes: p.bigint('number'),
  },
});
export class ClientStorage extends ClientStorageSchema.class {}
ClientStorageSchema.setClass(ClientStorage);
