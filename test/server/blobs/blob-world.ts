// Blobs on a real database, in both places for large contents, with small chunks so that every edge is near.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type BlobHolder,
  type BlobLimits,
  DEFAULT_BLOB_LIMITS,
  type Uploader,
} from '../../../server/blobs/blob.ts';
import { type Blobs, createBlobs } from '../../../server/blobs/blobs.ts';
import { contentsInFiles } from '../../../server/blobs/contents-in-files.ts';
import { contentsInRows } from '../../../server/blobs/contents-in-rows.ts';
import { systemClock } from '../../../server/clock.ts';
import type { OpenStore } from '../../../server/store/open.ts';
import { onEachStore } from '../../fakes/stores.ts';

export const LIMITS: BlobLimits = {
  ...DEFAULT_BLOB_LIMITS,
  maxBlobBytes: 10_000,
  maxClientBytes: 64 * 1024,
  maxInlineBytes: 32,
  maxRowBytes: 32,
  chunkBytes: 16,
};

export const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
export const freshBytes = (length: number): Uint8Array => randomBytes(length);

let serial = 0;
/** An id that no other test has. */
export const fresh = (prefix: string) => `${prefix}-${++serial}`;

export async function* sent(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

/** Sends the pieces, and is cut then. */
export async function* cut(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
  throw new Error('the connection was cut');
}

/** The reason of the refusal that the work must meet; its text where it has none. */
export async function reasonOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as { reason?: string }).reason ?? String(error);
  }
  throw new Error('it was not refused');
}

export class BlobWorld {
  readonly place: 'files' | 'rows';
  readonly folder: string;
  readonly store: () => OpenStore;
  #blobs: Blobs | undefined;

  constructor(place: 'files' | 'rows', folder: string, store: () => OpenStore) {
    this.place = place;
    this.folder = folder;
    this.store = store;
  }

  get blobs(): Blobs {
    if (this.#blobs === undefined) throw new Error('using blobs before the store is open');
    return this.#blobs;
  }

  /** As after a restart of the server: nothing in memory, everything else as it was. */
  readonly restart = (limits: Partial<BlobLimits> = {}): void => {
    this.#blobs = createBlobs({
      store: this.store(),
      contents:
        this.place === 'rows'
          ? contentsInRows(this.store())
          : contentsInFiles(join(this.folder, 'contents'), LIMITS.chunkBytes),
      limits: { ...LIMITS, ...limits },
      clock: systemClock,
      random: (bytes) => randomBytes(bytes),
    });
  };

  readonly upload = (
    uploader: Uploader,
    bytes: Uint8Array,
    pieces: AsyncIterable<Uint8Array>,
    wrong: { offset?: number; sizeBytes?: number } = {},
  ): Promise<void> => {
    const start = { digest: digestOf(bytes), sizeBytes: bytes.length, offset: 0, ...wrong };
    return this.blobs.upload({ uploader, start, pieces });
  };

  readonly read = async (bytes: Uint8Array): Promise<Buffer> =>
    Buffer.from(await this.blobs.readAll(digestOf(bytes), LIMITS.maxBlobBytes));

  readonly isReadable = (clientId: string, bytes: Uint8Array): Promise<boolean> =>
    this.blobs.isReadable({ clientId, digest: digestOf(bytes) });

  readonly use = (holder: BlobHolder, bytes: Uint8Array): Promise<readonly number[]> =>
    this.store().transaction((em) =>
      this.blobs.useBlobs(em, { holder, digests: [digestOf(bytes)] }),
    );

  readonly endUse = (holder: BlobHolder, bytes: Uint8Array): Promise<void> =>
    this.store().transaction((em) =>
      this.blobs.endUses(em, { holder, digests: [digestOf(bytes)] }),
    );

  readonly put = (holder: BlobHolder, bytes: Uint8Array) =>
    this.store().transaction((em) => this.blobs.put(em, { holder, bytes }));
}

/** The same tests on each database, with contents in each place. */
export function onEachBlobStore(title: string, tests: (world: BlobWorld) => void): void {
  onEachStore(title, (store) => {
    for (const place of ['files', 'rows'] as const) {
      describe(`with contents in ${place}`, () => {
        const world = new BlobWorld(
          place,
          mkdtempSync(join(tmpdir(), 'gap-junction-blobs-')),
          store,
        );
        before(() => world.restart());
        after(() => rmSync(world.folder, { recursive: true }));
        tests(world);
      });
    }
  });
}
