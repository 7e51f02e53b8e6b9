// Stripe's code becomes an account, once: whoever brings it, the agent or the return page. The account is
// written down before anything else is done, so that a lost answer or a killed server costs nothing.

import { sameBytes } from '../../protocol/bill/digest.ts';
import type { Store } from '../store/store.ts';
import type { Stripe } from '../stripe/stripe.ts';
import { exchangeKey, secretDigest, type OpenEnrolment } from './enrolment.ts';
import { findEnrolment, storeConnection } from './enrolment-store.ts';
import { accountUnverified, codeUnknown, codeUsed, stripeUnavailable } from './refusal.ts';

export interface ConnectionDeps {
  readonly store: Store;
  readonly stripe: Stripe;
}

/**
 * The account that the code stands for. The same code of one enrolment answers the same account again,
 * without Stripe. Throws CODE_UNKNOWN, CODE_USED, STRIPE_UNAVAILABLE.
 */
export async function connect(
  { store, stripe }: ConnectionDeps,
  enrolment: OpenEnrolment,
  stripeCode: string,
): Promise<string> {
  const stripeCodeDigest = secretDigest(stripeCode);
  const known = accountOfCode(enrolment, stripeCodeDigest);
  if (known !== null) return known;
  const { stateDigest } = enrolment;
  const exchange = await stripe.exchangeCode({
    code: stripeCode,
    idempotencyKey: exchangeKey(stateDigest, stripeCode),
  });
  switch (exchange.kind) {
    case 'connected': {
      const { accountId } = exchange;
      await store.transaction((em) =>
        storeConnection(em, stateDigest, { accountId, stripeCodeDigest }),
      );
      return accountId;
    }
    case 'code-unknown':
      throw codeUnknown('Stripe');
    case 'code-used': {
      // The same request, sent twice at once: the other one may have stored the account meanwhile.
      const now = await store.read((em) => findEnrolment(em, stateDigest));
      const account = now === null ? null : accountOfCode(now, stripeCodeDigest);
      if (account === null) throw codeUsed();
      return account;
    }
    case 'unavailable':
      throw stripeUnavailable(exchange.cause);
    default:
      return exchange satisfies never;
  }
}

/** Throws ACCOUNT_UNVERIFIED unless the account, as it is now, can be identified and paid. */
export async function requireVerified(stripe: Stripe, accountId: string): Promise<void> {
  const reading = await stripe.readAccount(accountId);
  switch (reading.kind) {
    case 'verified':
      return;
    case 'unverified':
      throw accountUnverified(accountId, reading.missing);
    case 'not-connected':
      throw accountUnverified(accountId, ['connection']);
    case 'unavailable':
      throw stripeUnavailable(reading.cause);
    default:
      reading satisfies never;
  }
}

function accountOfCode(enrolment: OpenEnrolment, stripeCodeDigest: Uint8Array): string | null {
  const { connection } = enrolment;
  return connection !== null && sameBytes(connection.stripeCodeDigest, stripeCodeDigest)
    ? connection.accountId
    : null;
}
