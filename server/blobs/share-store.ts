// A client's share of the store: what it may have there, and what it has.
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { storageFull } from './blob.ts';

/** In SQL: the quota in bytes that an operator set for a client, or what all others have. */
export function shareBytes(clientId: string, maxClientBytes: string): string {
  return `coalesce((select nullif(blob_bytes, 0) from client_quota where client_id = ${clientId}), ${maxClientBytes}::bigint)`;
}

const LOCK = `
  insert into client_storage as s (client_id, used_bytes) values ($1, 0)
  on conflict (client_id) do update set used_bytes = s.used_bytes
  returning s.used_bytes::text as used, ${shareBytes('$1', '$2')}::text as share`;

const READ = `
  select coalesce((select used_bytes from client_storage where client_id = $1), 0)::text as used,
         ${shareBytes('$1', '$2')}::text as share`;

interface Share {
  readonly clientId: string;
  /** Of clients that have no quota of their own. */
  readonly maxClientBytes: number;
}

/**
 * Refuses what this transaction adds, and is counted when it commits, where it is more than the client's
 * share. Two cannot both take the last room: the row stays locked until the end. So it comes last, since
 * counting takes that lock last, too. Throws RpcError STORAGE_FULL (RESOURCE_EXHAUSTED).
 */
export async function requireShare(
  em: EntityManager,
  { clientId, maxClientBytes, countedBytes }: Share & { readonly countedBytes: number },
): Promise<void> {
  if (countedBytes === 0) return;
  const rows = await query<{ used: string; share: string }>(em, LOCK, [clientId, maxClientBytes]);
  const { used, share } = rows[0]!;
  if (BigInt(used) + BigInt(countedBytes) > BigInt(share)) {
    throw shareFull({ countedBytes, used, share });
  }
}

/**
 * Locks the counts of these clients in the order of their ids, before the commit takes them in the order in
 * which rows went: whoever gives up what several clients have would wait in a circle for another who does.
 */
export async function lockShares(
  em: EntityManager,
  clients: readonly { readonly client_id: string }[],
): Promise<void> {
  if (clients.length === 0) return;
  const ids = JSON.stringify([...new Set(clients.map(({ client_id }) => client_id))]);
  await query(
    em,
    `select from client_storage where client_id in (select jsonb_array_elements_text($1::jsonb))
      order by client_id for update`,
    [ids],
  );
}

/** For what was refused already: says how much is used of how much. */
export async function refuseShare(
  em: EntityManager,
  { clientId, maxClientBytes, countedBytes }: Share & { readonly countedBytes: number },
): Promise<never> {
  const rows = await query<{ used: string; share: string }>(em, READ, [clientId, maxClientBytes]);
  throw shareFull({ countedBytes, ...rows[0]! });
}

function shareFull({
  countedBytes,
  used,
  share,
}: {
  countedBytes: number;
  used: string;
  share: string;
}) {
  return storageFull(
    `storing ${countedBytes} bytes: you have ${used} of ${share}; acknowledge the outputs of jobs that ended (job ack), which erases them and their inputs, or delete blobs that you no longer need`,
    { metadata: { quota: 'blob_bytes', limit: share, used } },
  );
}
