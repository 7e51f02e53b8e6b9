import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import type { Module, RegisteredModule } from './module.ts';

interface ModuleSqlRow {
  readonly digest: Uint8Array;
  readonly size_bytes: string;
  readonly exports_start: boolean;
  readonly exports_run: boolean;
  readonly min_memory_pages: number;
  readonly registered_ms: string;
}

const COLUMNS = `m.digest, m.size_bytes::text, m.exports_start, m.exports_run, m.min_memory_pages,
  m.registered_ms::text`;

/** A client's module is there until DeleteBlob takes its bytes away. */
const IS_THERE = `exists (select from blob_use u where u.client_id = m.client_id and u.digest = m.digest
  and u.holder_kind = 'module')`;

/** Registers the module, or finds it registered, and answers it. */
export async function insertModule(
  em: EntityManager,
  { clientId, module }: { clientId: string; module: Module },
): Promise<RegisteredModule> {
  const rows = await query<{ registered_ms: string }>(
    em,
    `insert into module (client_id, digest, size_bytes, exports_start, exports_run, min_memory_pages,
       registered_ms)
     values ($1, $2, $3::bigint, $4, $5, $6::int, gap_junction_now_ms())
     on conflict (client_id, digest) do update set size_bytes = excluded.size_bytes
     returning registered_ms::text`,
    [
      clientId,
      module.digest,
      module.sizeBytes,
      module.exportsStart,
      module.exportsRun,
      module.minMemoryPages,
    ],
  );
  return { ...module, registeredMs: Number(rows[0]!.registered_ms) };
}

/** The client's registered module, or null. */
export async function findModule(
  em: EntityManager,
  { clientId, digest }: { clientId: string; digest: Uint8Array },
): Promise<RegisteredModule | null> {
  const rows = await query<ModuleSqlRow>(
    em,
    `select ${COLUMNS} from module m where m.client_id = $1 and m.digest = $2 and ${IS_THERE}`,
    [clientId, digest],
  );
  return rows[0] === undefined ? null : moduleOf(rows[0]);
}

/** A client's modules, newest first. */
export async function listModules(
  em: EntityManager,
  page: {
    readonly clientId: string;
    readonly behind: { readonly registeredMs: number; readonly digest: Uint8Array } | null;
    readonly limit: number;
  },
): Promise<readonly RegisteredModule[]> {
  const rows = await query<ModuleSqlRow>(
    em,
    `select ${COLUMNS} from module m where m.client_id = $1 and ${IS_THERE}
        and ($2::bigint is null or (m.registered_ms, m.digest) < ($2::bigint, $3::bytea))
      order by m.registered_ms desc, m.digest desc limit $4::int`,
    [page.clientId, page.behind?.registeredMs ?? null, page.behind?.digest ?? null, page.limit],
  );
  return rows.map(moduleOf);
}

function moduleOf(row: ModuleSqlRow): RegisteredModule {
  return {
    digest: row.digest,
    sizeBytes: BigInt(row.size_bytes),
    exportsStart: row.exports_start,
    exportsRun: row.exports_run,
    minMemoryPages: row.min_memory_pages,
    registeredMs: Number(row.registered_ms),
  };
}
