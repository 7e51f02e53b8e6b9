import { RpcError } from '../rpc/error.ts';
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import type { CertificateSubject, ClientOverview } from './client.ts';
import { QUOTA_COLUMNS, setQuotaOf, type QuotaRow } from './quota-store.ts';

async function insertClient(
  em: EntityManager,
  client: { readonly clientId: string; readonly name: string },
): Promise<void> {
  await query(
    em,
    'insert into client (client_id, name, created_ms) values ($1, $2, gap_junction_now_ms())',
    [client.clientId, client.name],
  );
}

export async function insertOperator(
  em: EntityManager,
  operator: { readonly operatorId: string; readonly name: string },
): Promise<void> {
  await query(
    em,
    'insert into operator (operator_id, name, created_ms) values ($1, $2, gap_junction_now_ms())',
    [operator.operatorId, operator.name],
  );
}

/** The record of whom a certificate is issued to, where there is none yet. */
export async function insertSubject(
  em: EntityManager,
  subject: CertificateSubject,
  id: string,
): Promise<void> {
  switch (subject.kind) {
    case 'new-client':
      return insertClient(em, { clientId: id, name: subject.name });
    case 'new-operator':
      return insertOperator(em, { operatorId: id, name: subject.name });
    case 'client':
      return undefined;
    default:
      return subject satisfies never;
  }
}

export async function hasOperator(em: EntityManager): Promise<boolean> {
  return (await query(em, 'select 1 from operator limit 1')).length > 0;
}

/** Throws RpcError NOT_FOUND (CLIENT_UNKNOWN) for an id that is no client's. */
export async function clientOverview(em: EntityManager, clientId: string): Promise<ClientOverview> {
  const [row] = await query<ClientRow>(em, `${SELECT_OVERVIEW} where c.client_id = $1`, [clientId]);
  if (row === undefined) {
    throw new RpcError(
      'NOT_FOUND',
      'CLIENT_UNKNOWN',
      `finding client '${clientId}': there is none`,
    );
  }
  return overviewOf(row);
}

/** Where the next page begins: behind this client. */
export interface ClientPosition {
  readonly createdMs: number;
  readonly clientId: string;
}

/** Newest first, at most `limit`. */
export async function listClientOverviews(
  em: EntityManager,
  page: { readonly behind: ClientPosition | null; readonly limit: number },
): Promise<ClientOverview[]> {
  const order = 'order by c.created_ms desc, c.client_id desc limit';
  const rows =
    page.behind === null
      ? await query<ClientRow>(em, `${SELECT_OVERVIEW} ${order} $1`, [page.limit])
      : await query<ClientRow>(
          em,
          `${SELECT_OVERVIEW} where (c.created_ms, c.client_id) < ($1, $2) ${order} $3`,
          [page.behind.createdMs, page.behind.clientId, page.limit],
        );
  return rows.map(overviewOf);
}

interface ClientRow extends Partial<QuotaRow> {
  readonly id: string;
  readonly name: string;
  readonly created: string;
  readonly available: string;
  readonly held: string;
}

const SELECT_OVERVIEW = `select c.client_id as id, c.name, c.created_ms::text as created,
    coalesce(b.available_microcents, 0)::text as available, coalesce(b.held_microcents, 0)::text as held, ${QUOTA_COLUMNS}
  from client c left join client_balance b on b.client_id = c.client_id
       left join client_quota q on q.client_id = c.client_id`;

function overviewOf(row: ClientRow): ClientOverview {
  return {
    clientId: row.id,
    name: row.name,
    createdMs: Number(row.created),
    availableMicrocents: BigInt(row.available),
    heldMicrocents: BigInt(row.held),
    quota: typeof row.weight === 'number' ? setQuotaOf(row as QuotaRow) : null,
  };
}
