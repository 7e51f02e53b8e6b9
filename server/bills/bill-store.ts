import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';

export async function insertChain(
  em: EntityManager,
  { chainDigest, certificates }: { chainDigest: Uint8Array; certificates: Uint8Array },
): Promise<void> {
  await query(
    em,
    `insert into certificate_chain (chain_digest, certificates) values ($1, $2)
     on conflict (chain_digest) do nothing`,
    [chainDigest, certificates],
  );
}

export interface BillParts {
  readonly order: SignedParts;
  readonly receipt: SignedParts;
  readonly settlement: SignedParts;
}

export interface SignedParts {
  readonly payload: Uint8Array;
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
  /** As joinChain makes it. */
  readonly certificates: Uint8Array;
}

interface BillSqlRow {
  readonly order_payload: Uint8Array;
  readonly order_key_id: Uint8Array;
  readonly order_signature: Uint8Array;
  readonly order_certificates: Uint8Array;
  readonly receipt_payload: Uint8Array;
  readonly receipt_key_id: Uint8Array;
  readonly receipt_signature: Uint8Array;
  readonly receipt_certificates: Uint8Array;
  readonly settlement_payload: Uint8Array;
  readonly settlement_key_id: Uint8Array;
  readonly settlement_signature: Uint8Array;
  readonly settlement_certificates: Uint8Array;
}

/** The whole bill of a job, or null while a part of it is not signed. */
export async function readBill(em: EntityManager, jobId: string): Promise<BillParts | null> {
  const rows = await query<BillSqlRow>(
    em,
    `select a.order_payload, a.order_key_id, a.order_signature, oc.certificates as order_certificates,
            b.receipt_payload, b.receipt_key_id, b.receipt_signature,
            rc.certificates as receipt_certificates,
            b.settlement_payload, b.settlement_key_id, b.settlement_signature,
            sc.certificates as settlement_certificates
       from bill b
       join attempt a on a.attempt_id = b.attempt_id
       join certificate_chain oc on oc.chain_digest = a.order_chain_digest
       join certificate_chain rc on rc.chain_digest = b.receipt_chain_digest
       join certificate_chain sc on sc.chain_digest = b.settlement_chain_digest
      where b.job_id = $1 and b.settlement_signature is not null and a.order_signature is not null`,
    [jobId],
  );
  const row = rows[0];
  if (row === undefined) return null;
  return {
    order: {
      payload: row.order_payload,
      keyId: row.order_key_id,
      signature: row.order_signature,
      certificates: row.order_certificates,
    },
    receipt: {
      payload: row.receipt_payload,
      keyId: row.receipt_key_id,
      signature: row.receipt_signature,
      certificates: row.receipt_certificates,
    },
    settlement: {
      payload: row.settlement_payload,
      keyId: row.settlement_key_id,
      signature: row.settlement_signature,
      certificates: row.settlement_certificates,
    },
  };
}
