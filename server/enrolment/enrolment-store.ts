// The named operations on enrolments. Times are the database's.

import { query } from '../store/query.ts';
import type { EntityManager } from '../store/store.ts';
import { STATE_LIFE_MS, type EnrolmentAnswer, type OpenEnrolment } from './enrolment.ts';

/** Each start clears away so many that ended: more than it adds, so that the table stays small. */
const SWEPT_PER_START = 20;

/** Opens an enrolment and answers when it ends, in Unix milliseconds. */
export async function openEnrolment(
  em: EntityManager,
  enrolment: Pick<OpenEnrolment, 'stateDigest' | 'keyDigest' | 'channel'>,
): Promise<number> {
  await query(
    em,
    `delete from enrolment where state_digest in (
       select state_digest from enrolment where expires_ms <= (select gap_junction_now_ms()) limit $1::int)`,
    [SWEPT_PER_START],
  );
  const [row] = await query<{ expires_ms: string }>(
    em,
    `insert into enrolment (state_digest, key_digest, channel, expires_ms)
     values ($1, $2, $3, gap_junction_now_ms() + $4::bigint) returning expires_ms::text as expires_ms`,
    [enrolment.stateDigest, enrolment.keyDigest, enrolment.channel, STATE_LIFE_MS],
  );
  if (row === undefined) throw new Error('opening an enrolment: the database answered no row');
  return Number(row.expires_ms);
}

/** The enrolment of this state; null where there never was one, or its time is over. */
export async function findEnrolment(
  em: EntityManager,
  stateDigest: Uint8Array,
): Promise<OpenEnrolment | null> {
  const [row] = await query<Row>(em, `${SELECT} and state_digest = $1`, [stateDigest]);
  return row === undefined ? null : enrolmentOf(row);
}

/** The same, with its row locked until the transaction ends. */
export async function lockEnrolment(
  em: EntityManager,
  stateDigest: Uint8Array,
): Promise<OpenEnrolment | null> {
  const [row] = await query<Row>(em, `${SELECT} and state_digest = $1 for update`, [stateDigest]);
  return row === undefined ? null : enrolmentOf(row);
}

/** Writes down what Stripe said, before anything is done with it. An answered enrolment stays as it is. */
export async function storeConnection(
  em: EntityManager,
  stateDigest: Uint8Array,
  connection: NonNullable<OpenEnrolment['connection']>,
): Promise<void> {
  await query(
    em,
    `update enrolment set account_id = $2, stripe_code_digest = $3, return_code_digest = null
     where state_digest = $1 and certificate is null`,
    [stateDigest, connection.accountId, connection.stripeCodeDigest],
  );
}

/** The code that the return page shows; one shown before is worth nothing any more. */
export async function storeReturnCode(
  em: EntityManager,
  stateDigest: Uint8Array,
  returnCodeDigest: Uint8Array,
): Promise<void> {
  await query(
    em,
    'update enrolment set return_code_digest = $2 where state_digest = $1 and certificate is null',
    [stateDigest, returnCodeDigest],
  );
}

/** Keeps the answer for as long as a state lives, for whoever did not get it. */
export async function storeAnswer(
  em: EntityManager,
  stateDigest: Uint8Array,
  answer: EnrolmentAnswer,
): Promise<void> {
  await query(
    em,
    `update enrolment set node_id = $2, certificate = $3, issuer_certificate = $4,
       certificate_serial = $5, return_code_digest = null,
       expires_ms = gap_junction_now_ms() + $6::bigint
     where state_digest = $1`,
    [
      stateDigest,
      answer.nodeId,
      answer.certificate,
      answer.issuerCertificate,
      answer.serial,
      STATE_LIFE_MS,
    ],
  );
}

const SELECT = `select state_digest, key_digest, channel, stripe_code_digest, account_id,
    return_code_digest, node_id, certificate, issuer_certificate, certificate_serial
  from enrolment where expires_ms > gap_junction_now_ms()`;

interface Row {
  readonly state_digest: Uint8Array;
  readonly key_digest: Uint8Array;
  readonly channel: OpenEnrolment['channel'];
  readonly stripe_code_digest: Uint8Array | null;
  readonly account_id: string | null;
  readonly return_code_digest: Uint8Array | null;
  readonly node_id: string | null;
  readonly certificate: Uint8Array | null;
  readonly issuer_certificate: Uint8Array | null;
  readonly certificate_serial: string | null;
}

function enrolmentOf(row: Row): OpenEnrolment {
  const { account_id: accountId, stripe_code_digest: stripeCodeDigest } = row;
  const { node_id: nodeId, certificate, issuer_certificate: issuerCertificate } = row;
  const serial = row.certificate_serial;
  return {
    stateDigest: row.state_digest,
    keyDigest: row.key_digest,
    channel: row.channel,
    connection:
      accountId === null || stripeCodeDigest === null ? null : { accountId, stripeCodeDigest },
    returnCodeDigest: row.return_code_digest,
    answer:
      nodeId === null || certificate === null || issuerCertificate === null || serial === null
        ? null
        : { nodeId, certificate, issuerCertificate, serial },
  };
}
