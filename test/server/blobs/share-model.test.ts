// Whatever a client does with its blobs and jobs, and in whatever order: what counts against its share is what
// is stored for it. A way around would let it fill the disk for nothing.
import { expect } from 'chai';
import fc from 'fast-check';
import { query } from '../../../server/store/query.ts';
import { onEachBlobStore } from './blob-world.ts';
import { freshContents, SharingClient } from './share-world.ts';

const RUNS = 3;

const below = (count: number) => fc.integer({ min: 0, max: count - 1 });
const step = fc.record({
  client: below(2),
  blob: below(freshContents().length),
  otherBlob: below(freshContents().length),
  job: below(4),
  does: fc.constantFrom(
    'upload' as const,
    'uploadPart' as const,
    'keepModule' as const,
    'submit' as const,
    'submitInline' as const,
    'uploadOutput' as const,
    'complete' as const,
    'completeInline' as const,
    'cancel' as const,
    'acknowledge' as const,
    'delete' as const,
    'sweep' as const,
    'passTime' as const,
  ),
});

/** What was refused counts for nothing. */
const REFUSALS = new Set([
  'BLOB_UNKNOWN',
  'BLOB_IN_USE',
  'BLOB_ERASED',
  'SIZE_MISMATCH',
  'STORAGE_FULL',
  'UPLOAD_TAKEN_OVER',
]);

onEachBlobStore("what counts against a client's share", (world) => {
  const { restart, store } = world;
  afterEach(() => restart());

  /** What is stored for a client, each blob once; nothing of attempts before their job's completion. */
  async function bytesOf({ clientId }: SharingClient) {
    const rows = await store().read((em) =>
      query<{ stored: string; counted: string }>(
        em,
        `select coalesce((select used_bytes from client_storage where client_id = $1), 0)::text as counted,
           (coalesce((select sum(greatest(size_bytes, 4096)) from blob b where exists (
              select from blob_use u
               where u.digest = b.digest and u.client_id = $1 and u.holder_kind <> 'attempt')), 0)
           + coalesce((select sum(greatest(size_bytes, 4096)) from blob_upload
                where client_id = $1 and holder_kind = 'client'), 0))::text as stored`,
        [clientId],
      ),
    );
    return rows[0]!;
  }

  for (const atOnce of [1, 3]) {
    it(`is what is stored for it, in whatever order it does what it may, ${atOnce} at once`, async () => {
      const runs = fc.array(fc.array(step, { minLength: atOnce, maxLength: atOnce }), {
        minLength: 10,
        maxLength: 40,
      });
      await fc.assert(
        fc.asyncProperty(runs, async (rounds) => {
          restart();
          const contents = freshContents();
          const clients = [new SharingClient(world, contents), new SharingClient(world, contents)];
          for (const round of rounds) {
            await Promise.all(
              round.map(async ({ client, does, ...rest }) =>
                clients[client]![does](rest).catch((error: unknown) => {
                  const { reason } = error as { reason?: string };
                  const wasCut = String(error).includes('the connection was cut');
                  if (!wasCut && !REFUSALS.has(reason ?? '')) throw error;
                }),
              ),
            );
            for (const client of clients) {
              const { counted, stored } = await bytesOf(client);
              expect(counted, JSON.stringify(round)).to.equal(stored);
            }
          }
        }),
        { numRuns: RUNS },
      );
    });
  }
});
