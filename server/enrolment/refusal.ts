// What an enrolment can be refused for; the reasons are the contract's.

import { RpcError } from '../rpc/error.ts';
import type { MissingRequirement } from '../stripe/account.ts';

export const stateUnknown = (): RpcError =>
  new RpcError(
    'FAILED_PRECONDITION',
    'STATE_UNKNOWN',
    'finding the enrolment: there is none of this state, or its 10 minutes are over; start again',
  );

export const keyMismatch = (): RpcError =>
  new RpcError(
    'INVALID_ARGUMENT',
    'KEY_MISMATCH',
    'checking the key: the state was given out for another one; start again with this key',
  );

export const codeUnknown = (which: string): RpcError =>
  new RpcError(
    'FAILED_PRECONDITION',
    'CODE_UNKNOWN',
    `checking the ${which} code: it was never given for this enrolment, or its time is over; open the connect URL again`,
  );

export const codeUsed = (): RpcError =>
  new RpcError(
    'FAILED_PRECONDITION',
    'CODE_USED',
    'exchanging the Stripe code: it was used before; open the connect URL again for another',
  );

export const accountUnverified = (
  accountId: string,
  missing: readonly (MissingRequirement | 'connection')[],
): RpcError =>
  new RpcError(
    'FAILED_PRECONDITION',
    'ACCOUNT_UNVERIFIED',
    `checking the Stripe account '${accountId}': it lacks ${missing.join(', ')}; complete it at Stripe and ask again`,
    { metadata: { missing: missing.join(',') } },
  );

export const certificateUnusable = (why: string): RpcError =>
  new RpcError(
    'FAILED_PRECONDITION',
    'CERTIFICATE_UNUSABLE',
    `checking the old certificate: ${why}; enrol with Stripe`,
  );

export const alreadyBound = (accountId: string): RpcError =>
  new RpcError(
    'ALREADY_EXISTS',
    'ALREADY_BOUND',
    `binding the Stripe account '${accountId}': it has a node; ask again with replace to move it to this key`,
  );

export const stripeUnavailable = (cause: unknown): RpcError =>
  new RpcError(
    'UNAVAILABLE',
    'STRIPE_UNAVAILABLE',
    'asking Stripe: it does not answer; send the same request again',
    { cause },
  );

export const renewalSuperseded = (counter: bigint, expected: bigint): RpcError =>
  new RpcError(
    'FAILED_PRECONDITION',
    'RENEWAL_SUPERSEDED',
    `renewing the certificate: the renewal counter ${counter} is not the next one, ${expected}; these files are older than the last renewal, enrol with replace`,
  );

export const keyReused = (): RpcError =>
  new RpcError(
    'INVALID_ARGUMENT',
    'KEY_REUSED',
    'renewing the certificate: the request is for a key that this node has already; make a new one',
  );
