// What other nouns do with blobs inside their own transactions: one statement each.
//
// In a transaction with the ledger, the ledger comes last: a put may wait for another one of the same new
// bytes.
import { digest as digestOf, DIGEST_OF_NOTHING, digestText } from '../../protocol/bill/digest.ts';
import type { EntityManager } from '../store/store.ts';
import { type BlobHolder, type BlobLimits, blobUnknown, isNothing } from './blob.ts';
import { BLOB_KEY_BYTES, openChunk, sealChunk } from './blob-cipher.ts';
import { newKeyId } from './content-key-store.ts';
import { insertBlob, loadBlob, type StoredBlob } from './blob-store.ts';
import {
  claimUpload,
  claimUse,
  deleteLeft,
  deleteUses,
  endJobUses,
  insertUses,
  type JobUses,
  keepModule,
  type LeftByJob,
  sizeOfReadable,
} from './use-store.ts';

export interface BlobUses {
  /**
   * Stores a short content, at most `maxInlineBytes` (1 MiB), used by `holder`; one statement in the caller's
   * transaction. Throws RpcError STORAGE_FULL where the client's share is used up (outputs never are).
   */
  put(
    em: EntityManager,
    entry: { holder: BlobHolder; bytes: Uint8Array },
  ): Promise<{ digest: Uint8Array; sizeBytes: number }>;
  /** Throws RpcError BLOB_UNKNOWN (NOT_FOUND) unless the client may read the blob. */
  requireOwned(
    em: EntityManager,
    blob: { clientId: string; digest: Uint8Array },
  ): Promise<{ sizeBytes: number }>;
  /**
   * As requireOwned for each digest, and makes `holder` (a job) a user of it: it cannot be deleted then.
   * One statement. Answers the sizes in the order asked for.
   */
  useBlobs(
    em: EntityManager,
    use: { holder: BlobHolder; digests: readonly Uint8Array[] },
  ): Promise<readonly number[]>;
  /** Ends the holder's uses; one statement. What nobody uses then is erased by the next sweep. */
  endUses(
    em: EntityManager,
    use: { holder: BlobHolder; digests: readonly Uint8Array[] },
  ): Promise<void>;
  /** A job has ended: its module's use ends, its input stays as what it leaves. One statement. */
  endJob(em: EntityManager, job: JobUses): Promise<void>;
  /** Ends the uses of what jobs left, and of outputs that their attempts uploaded for nothing. */
  giveUpLeft(em: EntityManager, jobs: readonly LeftByJob[]): Promise<void>;
  /** Makes what its client uploaded a job's, whose use it counts as from now on. */
  claimUpload(
    em: EntityManager,
    claim: { clientId: string; jobId: string; digest: Uint8Array },
  ): Promise<void>;
  /** Keeps the bytes of a module until DeleteBlob. Throws RpcError BLOB_UNKNOWN. */
  keepModule(em: EntityManager, module: { clientId: string; digest: Uint8Array }): Promise<void>;
  /** Makes what an attempt uploaded its job's output; null where the attempt uploaded no such blob. */
  claimOutput(
    em: EntityManager,
    claim: { clientId: string; attemptId: string; jobId: string; digest: Uint8Array },
  ): Promise<{ sizeBytes: number } | null>;
  /**
   * The bytes of a blob that lies in its row, read in the caller's transaction; null for a larger one.
   * Throws RpcError BLOB_UNKNOWN.
   */
  readShort(em: EntityManager, digest: Uint8Array): Promise<Uint8Array | null>;
}

export function blobUses({
  limits,
  random,
}: {
  limits: BlobLimits;
  random: (bytes: number) => Uint8Array;
}): BlobUses {
  return {
    async put(em, { holder, bytes }) {
      if (bytes.length > limits.maxInlineBytes) {
        throw new RangeError(
          `storing ${bytes.length} bytes inline: at most ${limits.maxInlineBytes} are taken`,
        );
      }
      if (bytes.length === 0) return { digest: DIGEST_OF_NOTHING, sizeBytes: 0 };
      const digest = digestOf(bytes);
      const { maxClientBytes } = limits;
      await insertBlob(em, { digest, holder, blob: sealedInRow(bytes, random), maxClientBytes });
      return { digest, sizeBytes: bytes.length };
    },

    async requireOwned(em, { clientId, digest }) {
      if (isNothing(digest)) return { sizeBytes: 0 };
      const sizeBytes = await sizeOfReadable(em, { clientId, digest });
      if (sizeBytes === null) throw blobUnknown(digestText(digest));
      return { sizeBytes };
    },

    async useBlobs(em, { holder, digests }) {
      const stored = digests.filter((digest) => !isNothing(digest));
      const sizes = await insertUses(em, { holder, digests: stored });
      let next = 0;
      return digests.map((digest) => (isNothing(digest) ? 0 : (sizes[next++] ?? 0)));
    },

    endUses: (em, { holder, digests }) =>
      deleteUses(em, { holder, digests: digests.filter((digest) => !isNothing(digest)) }),

    endJob: endJobUses,
    giveUpLeft: deleteLeft,
    claimUpload,

    async keepModule(em, module) {
      if (!isNothing(module.digest)) await keepModule(em, module);
    },

    async claimOutput(em, claim) {
      if (isNothing(claim.digest)) return { sizeBytes: 0 };
      const sizeBytes = await claimUse(em, claim);
      return sizeBytes === null ? null : { sizeBytes };
    },

    async readShort(em, digest) {
      if (isNothing(digest)) return new Uint8Array();
      const blob = await loadBlob(em, digest);
      if (blob === null) throw blobUnknown(digestText(digest));
      return blob.place.kind === 'row' ? openRow(blob, blob.place.sealed) : null;
    },
  };
}

/** A short content as its row keeps it, under a new key. */
export function sealedInRow(bytes: Uint8Array, random: (bytes: number) => Uint8Array): StoredBlob {
  const key = random(BLOB_KEY_BYTES);
  const sealed = sealChunk({ key, index: 0, bytes }, random);
  const keyId = newKeyId(random);
  return { sizeBytes: bytes.length, keyId, key, place: { kind: 'row', sealed } };
}

/** The content that `sealedInRow` sealed. */
export function openRow(blob: StoredBlob, sealed: Uint8Array): Uint8Array {
  return openChunk({ key: blob.key, index: 0, sealed });
}
