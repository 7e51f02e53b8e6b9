// What an enrolment is between StartEnrolment and the node's certificate, and the secrets that tie its
// steps together. Of every secret only a digest is stored.

import { createHash } from 'node:crypto';

/** Long enough for a person at Stripe, short enough that a forgotten URL is worth nothing. */
export const STATE_LIFE_MS = 10 * 60_000;

/** 128 bits: nobody guesses it, at any rate of guesses that a server could answer. */
const SECRET_BYTES = 16;

/** How Stripe's answer reaches the agent. */
export type ProofChannel = 'loopback' | 'return_code';

/** An enrolment as the database has it, while it lives. */
export interface OpenEnrolment {
  /** SHA-256 of the state. */
  readonly stateDigest: Uint8Array;
  /** SHA-256 of the SubjectPublicKeyInfo that it is for. */
  readonly keyDigest: Uint8Array;
  readonly channel: ProofChannel;
  /** What Stripe said, once a code was exchanged. */
  readonly connection: { readonly accountId: string; readonly stripeCodeDigest: Uint8Array } | null;
  readonly returnCodeDigest: Uint8Array | null;
  /** What was answered, once it was. */
  readonly answer: EnrolmentAnswer | null;
}

export interface EnrolmentAnswer {
  readonly nodeId: string;
  /** DER. */
  readonly certificate: Uint8Array;
  readonly issuerCertificate: Uint8Array;
  readonly serial: string;
}

/** The one-time state: 128 random bits as text that a URL takes as it is. */
export function makeState(randomBytes: (bytes: number) => Uint8Array): string {
  return Buffer.from(randomBytes(SECRET_BYTES)).toString('base64url');
}

/** A return code: 128 random bits in groups that a person can read out, `ab12-...`. */
export function makeReturnCode(randomBytes: (bytes: number) => Uint8Array): string {
  const hex = Buffer.from(randomBytes(SECRET_BYTES)).toString('hex');
  return hex.match(/.{4}/g)?.join('-') ?? hex;
}

/** SHA-256 of a secret in the form it was given out. */
export function secretDigest(secret: string): Uint8Array {
  return createHash('sha256').update(secret).digest();
}

/** The digest of a return code as a person types it: case, spaces and dashes do not matter. */
export function returnCodeDigest(typed: string): Uint8Array {
  return secretDigest(typed.toLowerCase().replaceAll(/[\s-]/g, ''));
}

/**
 * The key of idempotency under which a Stripe code is exchanged for one enrolment. It binds both: the
 * answer about a code is never handed to another enrolment.
 */
export function exchangeKey(stateDigest: Uint8Array, stripeCode: string): string {
  const digest = createHash('sha256')
    .update('gap-junction/stripe-exchange/v1\n')
    .update(stateDigest)
    .update(stripeCode)
    .digest('hex');
  return `gj-exchange-${digest}`;
}
