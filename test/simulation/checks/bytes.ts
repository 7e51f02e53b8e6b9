// What a client acknowledged is gone: the rows of its input and output, and the keys that would open what
// is left of them on a disk.
import type { SimulatedClient } from '../client.ts';
import type { Rows } from './rows.ts';

export function checkErased(
  clients: readonly SimulatedClient[],
  { jobs, blobs, logs, contentKeys }: Rows,
): readonly string[] {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const acknowledged = new Set(
    clients.flatMap((client) =>
      client.jobs.flatMap(({ jobId, isAcknowledged }) => (isAcknowledged ? [jobId] : [])),
    ),
  );
  const kept = new Set(blobs.map(({ digest }) => hex(digest)));
  // What another job left with the same bytes stays with that one.
  const needed = new Set(
    jobs
      .filter(({ job_id }) => !acknowledged.has(job_id))
      .flatMap(({ input_digest, output_digest }) =>
        [input_digest, output_digest].flatMap((digest) => (digest === null ? [] : [hex(digest)])),
      ),
  );
  const used = new Set([...blobs, ...logs].map(({ key_id }) => key_id));
  return [
    ...jobs.flatMap(({ job_id, input_digest, output_digest }) => {
      if (!acknowledged.has(job_id)) return [];
      const left = { input: input_digest, output: output_digest };
      return Object.entries(left).flatMap(([what, digest]) =>
        digest !== null && kept.has(hex(digest)) && !needed.has(hex(digest))
          ? [`the ${what} of '${job_id}' was acknowledged, and is still there`]
          : [],
      );
    }),
    ...logs.flatMap(({ job_id }) =>
      acknowledged.has(job_id) ? [`logs of '${job_id}' are still there`] : [],
    ),
    ...contentKeys.flatMap(({ key_id }) =>
      used.has(key_id) ? [] : [`the key '${key_id}' of bytes that nobody keeps is still there`],
    ),
  ];
}
