// The books' operations. Each is one statement in the caller's transaction; what it may not do, the
// database refuses (see the migration), and then the caller's transaction is gone as a whole.
//
// Each operation locks the client's balance until its transaction ends, so it comes last in it, and one
// that touches several clients takes them in the order of their ids.
import { RpcError } from '../rpc/error.ts';
import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import {
  MAX_BALANCE_MICROCENTS,
  MAX_MOVED_MICROCENTS,
  requireAmount,
  transactionKey,
} from './ledger.ts';

const HOLD = `
  with funded as (
    select client_id from client_balance
     where client_id = $2 and available_microcents >= $3::bigint for update
  ), posted as (
    insert into ledger_transaction (transaction_key, kind, posted_ms)
    select $1::text, 'hold', gap_junction_now_ms() from funded returning transaction_key
  )
  insert into ledger_posting (transaction_key, account, holder_id, microcents)
  select p.transaction_key, l.account, $2, l.microcents
    from posted p, (values ('client_available', -$3::bigint), ('client_held', $3::bigint)) as l (account, microcents)
  returning transaction_key`;

/**
 * Sets the highest price of a job aside. Throws RpcError BALANCE_TOO_LOW (FAILED_PRECONDITION, metadata
 * `needed_microcents`, `available_microcents`), and a RangeError outside 0 to MAX_MOVED_MICROCENTS. A
 * second hold of one job is refused by the database (unique violation).
 */
export async function holdForJob(
  em: EntityManager,
  hold: { clientId: string; jobId: string; microcents: bigint },
): Promise<void> {
  requireAmount('a hold', hold.microcents, MAX_MOVED_MICROCENTS);
  const key = transactionKey({ kind: 'hold', jobId: hold.jobId });
  const posted = await query(em, HOLD, [key, hold.clientId, hold.microcents]);
  if (posted.length > 0) return;
  const { availableMicrocents } = await balanceOf(em, hold.clientId);
  throw new RpcError(
    'FAILED_PRECONDITION',
    'BALANCE_TOO_LOW',
    `holding ${hold.microcents} microcents: the balance has ${availableMicrocents}; ask an operator for credit, or lower the limits`,
    {
      metadata: {
        needed_microcents: String(hold.microcents),
        available_microcents: String(availableMicrocents),
      },
    },
  );
}

/** Looked up by its key alone (`offset 0`): an index of all postings of its client may look as good. */
const HELD = `(select * from ledger_posting
    where transaction_key = $2 and account = 'client_held' offset 0) held`;

const SETTLE = `
  with hold as (
    select transaction_key, microcents from ${HELD} where holder_id = $3 and microcents >= $5::bigint
  ), posted as (
    insert into ledger_transaction (transaction_key, kind, closes_key, posted_ms)
    select $1::text, 'settle', transaction_key, gap_junction_now_ms() from hold returning transaction_key
  )
  insert into ledger_posting (transaction_key, account, holder_id, microcents)
  select p.transaction_key, l.account, l.holder_id, l.microcents
    from posted p, hold h, lateral (values
      ('client_held', $3::text, -h.microcents),
      ('client_available', $3::text, h.microcents - $5::bigint),
      ('node_pending', $4::text, $6::bigint),
      ('platform_revenue', '', $5::bigint - $6::bigint)) as l (account, holder_id, microcents)
  returning transaction_key`;

/**
 * Takes a job's charge out of its hold, gives the node its share and the client the rest. Throws a
 * plain Error where this job has no hold of this client or a smaller one, a RangeError where the share
 * is above the charge; the database refuses (unique violation) to close a hold twice.
 */
export async function settleJob(
  em: EntityManager,
  settlement: {
    clientId: string;
    jobId: string;
    nodeId: string;
    chargeMicrocents: bigint;
    nodeShareMicrocents: bigint;
  },
): Promise<void> {
  const { clientId, jobId, nodeId, chargeMicrocents, nodeShareMicrocents } = settlement;
  requireAmount('a charge', chargeMicrocents, MAX_MOVED_MICROCENTS);
  requireAmount('a node share', nodeShareMicrocents, chargeMicrocents);
  const posted = await query(em, SETTLE, [
    transactionKey({ kind: 'settle', jobId }),
    transactionKey({ kind: 'hold', jobId }),
    clientId,
    nodeId,
    chargeMicrocents,
    nodeShareMicrocents,
  ]);
  if (posted.length === 0) {
    throw new Error(
      `settling the job '${jobId}': there is no hold of '${clientId}' for its charge of ${chargeMicrocents} microcents`,
    );
  }
}

const RELEASE = `
  with hold as (
    select transaction_key, microcents from ${HELD} where holder_id = $3
  ), posted as (
    insert into ledger_transaction (transaction_key, kind, closes_key, posted_ms)
    select $1::text, 'release', transaction_key, gap_junction_now_ms() from hold returning transaction_key
  )
  insert into ledger_posting (transaction_key, account, holder_id, microcents)
  select p.transaction_key, l.account, $3, l.microcents
    from posted p, hold h, lateral (values
      ('client_held', -h.microcents), ('client_available', h.microcents)) as l (account, microcents)
  returning transaction_key`;

/**
 * Gives the whole hold of a job back. Throws a plain Error where there is none of this client; the
 * database refuses (unique violation) to close a hold twice.
 */
export async function releaseJob(
  em: EntityManager,
  release: { clientId: string; jobId: string },
): Promise<void> {
  const { clientId, jobId } = release;
  const posted = await query(em, RELEASE, [
    transactionKey({ kind: 'release', jobId }),
    transactionKey({ kind: 'hold', jobId }),
    clientId,
  ]);
  if (posted.length === 0) {
    throw new Error(`releasing the hold of the job '${jobId}': '${clientId}' has none for it`);
  }
}

const CREDIT = `
  with posted as (
    insert into ledger_transaction (transaction_key, kind, posted_ms)
    select $1::text, 'credit', gap_junction_now_ms()
     where not exists (
       select from client_balance where client_id = $2 and available_microcents > $5::bigint - $4::bigint)
    on conflict (transaction_key) do nothing returning transaction_key
  )
  insert into ledger_posting (transaction_key, account, holder_id, microcents)
  select p.transaction_key, l.account, l.holder_id, l.microcents
    from posted p, (values
      ('operator_funding', $3::text, -$4::bigint),
      ('client_available', $2::text, $4::bigint)) as l (account, holder_id, microcents)
  returning transaction_key`;

/**
 * Adds to a client's balance from the operator's own account. The same request id of one operator with
 * the same client and amount is credited once; otherwise RpcError REQUEST_ID_REUSED (ALREADY_EXISTS).
 * BALANCE_TOO_HIGH (FAILED_PRECONDITION) above MAX_BALANCE_MICROCENTS. Answers whether this call moved
 * the money, and not an earlier one.
 */
export async function creditClient(
  em: EntityManager,
  credit: { clientId: string; requestId: string; operatorId: string; microcents: bigint },
): Promise<boolean> {
  const { clientId, requestId, operatorId, microcents } = credit;
  requireAmount('a credit', microcents, MAX_MOVED_MICROCENTS);
  const key = transactionKey({ kind: 'credit', operatorId, requestId });
  const parameters = [key, clientId, operatorId, microcents, MAX_BALANCE_MICROCENTS];
  if ((await query(em, CREDIT, parameters)).length > 0) return true;

  const earlier = await query<{ same: boolean }>(
    em,
    `select holder_id = $2 and microcents = $3::bigint as same from ledger_posting
      where transaction_key = $1 and account = 'client_available'`,
    [key, clientId, microcents],
  );
  if (earlier[0]?.same === true) return false;
  if (earlier[0] === undefined) {
    throw new RpcError(
      'FAILED_PRECONDITION',
      'BALANCE_TOO_HIGH',
      `crediting ${microcents} microcents to '${clientId}': a balance has at most ${MAX_BALANCE_MICROCENTS}`,
    );
  }
  throw new RpcError(
    'ALREADY_EXISTS',
    'REQUEST_ID_REUSED',
    `crediting '${clientId}': the request id '${requestId}' was used for another client or amount; choose a new one`,
  );
}

/** What a client has, in microcents; both 0 for one that never had anything. */
export async function balanceOf(
  em: EntityManager,
  clientId: string,
): Promise<{ availableMicrocents: bigint; heldMicrocents: bigint }> {
  const rows = await query<{ available: string; held: string }>(
    em,
    `select available_microcents::text as available, held_microcents::text as held
       from client_balance where client_id = $1`,
    [clientId],
  );
  return {
    availableMicrocents: BigInt(rows[0]?.available ?? 0),
    heldMicrocents: BigInt(rows[0]?.held ?? 0),
  };
}

/** What a node has earned and not been paid, in microcents, and by how many settled jobs. */
export async function earningsOf(
  em: EntityManager,
  nodeId: string,
): Promise<{ pendingMicrocents: bigint; settledJobs: bigint }> {
  const rows = await query<{ pending: string; settled: string }>(
    em,
    `select pending_microcents::text as pending, settled_jobs::text as settled
       from node_balance where node_id = $1`,
    [nodeId],
  );
  return {
    pendingMicrocents: BigInt(rows[0]?.pending ?? 0),
    settledJobs: BigInt(rows[0]?.settled ?? 0),
  };
}

/** The sum of all postings, in microcents. Always 0n; anything else is a broken book. */
export async function ledgerSum(em: EntityManager): Promise<bigint> {
  const rows = await query<{ total: string }>(
    em,
    'select coalesce(sum(microcents), 0)::text as total from ledger_posting',
  );
  return BigInt(rows[0]?.total ?? 0);
}
