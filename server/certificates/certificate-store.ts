import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { Certificate } from './certificate.entity.ts';

/** Whose certificate it is. */
export interface Holder {
  readonly role: 'node' | 'client' | 'operator';
  readonly id: string;
}

export interface CertificateRecord {
  /** Lower-case hex without leading zeros. */
  readonly serial: string;
  readonly holder: Holder;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly keyId: Uint8Array;
  /** DER. */
  readonly certificate: Uint8Array;
  readonly notAfterMs: number;
}

/** Writes an issued certificate down. One that is not here can be neither revoked nor listed. */
export async function recordCertificate(
  em: EntityManager,
  record: CertificateRecord,
): Promise<void> {
  await query(
    em,
    `insert into certificate (serial, holder_role, holder_id, key_id, certificate, issued_ms, not_after_ms)
     values ($1, $2, $3, $4, $5, gap_junction_now_ms(), $6)`,
    [
      record.serial,
      record.holder.role,
      record.holder.id,
      record.keyId,
      record.certificate,
      record.notAfterMs,
    ],
  );
}

/**
 * Revokes all that the holder has and answers their serials. Pass them to `Revocations.announce` once the
 * transaction is committed.
 */
export async function revokeCertificatesOf(
  em: EntityManager,
  holder: Holder,
  atMs: number,
): Promise<string[]> {
  const rows = await query<{ serial: string }>(
    em,
    'update certificate set revoked_ms = $1 where holder_role = $2 and holder_id = $3 and revoked_ms is null returning serial',
    [atMs, holder.role, holder.id],
  );
  return rows.map((row) => row.serial);
}

/** The certificate of this serial; null where we never issued it. */
export async function findCertificate(
  em: EntityManager,
  serial: string,
): Promise<Certificate | null> {
  return em.findOne(Certificate, { serial });
}

/** Serials that are revoked and would otherwise still be good at `nowMs`. */
export async function revokedSerials(em: EntityManager, nowMs: number): Promise<string[]> {
  const rows = await query<{ serial: string }>(
    em,
    'select serial from certificate where revoked_ms is not null and not_after_ms > $1',
    [nowMs],
  );
  return rows.map((row) => row.serial);
}

/** Whether any certificate was ever issued: then the keys that issued it must not be made anew. */
export async function hasCertificates(em: EntityManager): Promise<boolean> {
  return (await query(em, 'select 1 from certificate limit 1')).length > 0;
}
