// Stripe as the control plane uses it: the only importer of its library. Everything that can go either
// way comes back as a value.

import StripeClient from 'stripe';
import { missingRequirements, type MissingRequirement } from './account.ts';

export interface StripeOptions {
  /** `sk_...` or `rk_...` */
  readonly secretKey: string;
  /** `ca_...`, the platform's OAuth client. */
  readonly clientId: string;
  /** A simulator's address, `http://127.0.0.1:PORT`; null for Stripe itself. */
  readonly simulatorUrl: string | null;
  /** Of one try. */
  readonly timeoutMs?: number;
  /** Tries after the first, all under one idempotency key. */
  readonly maxRetries?: number;
}

/** Stripe answers in well under a second; an owner waits no longer than this for three tries. */
const DEFAULT_TIMEOUT_MS = 8_000;
const DEFAULT_MAX_RETRIES = 2;

/** Stripe did not answer, or not usably: the same call may be made again later. */
export interface Unavailable {
  readonly kind: 'unavailable';
  readonly cause: unknown;
}

export type CodeExchange =
  | { readonly kind: 'connected'; readonly accountId: string }
  /** Never given, or more than five minutes old. */
  | { readonly kind: 'code-unknown' }
  | { readonly kind: 'code-used' }
  | Unavailable;

export type AccountReading =
  | { readonly kind: 'verified' }
  | { readonly kind: 'unverified'; readonly missing: readonly MissingRequirement[] }
  /** The owner took the connection back, or it never was. */
  | { readonly kind: 'not-connected' }
  | Unavailable;

export interface Stripe {
  /** Where an owner connects an account; `redirectUri` is where Stripe sends the browser then. */
  authorizeUrl(request: { readonly state: string; readonly redirectUri: string }): string;
  /**
   * Exchanges an authorization code for the account that it stands for. Stripe takes a code once: calls
   * about one code carry one idempotency key, so that an answer lost on the way can be asked for again.
   */
  exchangeCode(request: {
    readonly code: string;
    readonly idempotencyKey: string;
  }): Promise<CodeExchange>;
  /** Reads the account as it is now. */
  readAccount(accountId: string): Promise<AccountReading>;
}

const STRIPE_CONNECT_URL = 'https://connect.stripe.com';

export function connectStripe(options: StripeOptions): Stripe {
  const client = clientOf(options);
  return {
    authorizeUrl({ state, redirectUri }) {
      const url = new URL('/oauth/authorize', options.simulatorUrl ?? STRIPE_CONNECT_URL);
      url.search = new URLSearchParams({
        response_type: 'code',
        client_id: options.clientId,
        scope: 'read_write',
        redirect_uri: redirectUri,
        state,
      }).toString();
      return url.href;
    },
    async exchangeCode({ code, idempotencyKey }) {
      try {
        const answer = await client.oauth.token(
          { grant_type: 'authorization_code', code },
          { idempotencyKey },
        );
        return answer.stripe_user_id === undefined
          ? unavailable(new Error('Exchanging a Stripe code: the answer names no account'))
          : { kind: 'connected', accountId: answer.stripe_user_id };
      } catch (error) {
        if (error instanceof StripeClient.errors.StripeInvalidGrantError) {
          return { kind: /already been used/i.test(error.message) ? 'code-used' : 'code-unknown' };
        }
        return unavailable(error);
      }
    },
    async readAccount(accountId) {
      try {
        const account = await client.accounts.retrieve(accountId);
        const missing = missingRequirements({
          detailsSubmitted: account.details_submitted ?? false,
          payoutsEnabled: account.payouts_enabled ?? false,
          transfersActive: account.capabilities?.transfers === 'active',
          pastDueCount: account.requirements?.past_due?.length ?? 0,
        });
        return missing.length === 0 ? { kind: 'verified' } : { kind: 'unverified', missing };
      } catch (error) {
        if (error instanceof StripeClient.errors.StripePermissionError) {
          return { kind: 'not-connected' };
        }
        return unavailable(error);
      }
    },
  };
}

function clientOf({ secretKey, simulatorUrl, timeoutMs, maxRetries }: StripeOptions): StripeClient {
  const at = simulatorUrl === null ? null : new URL(simulatorUrl);
  return new StripeClient(secretKey, {
    telemetry: false,
    timeout: timeoutMs ?? DEFAULT_TIMEOUT_MS,
    maxNetworkRetries: maxRetries ?? DEFAULT_MAX_RETRIES,
    ...(at === null
      ? {}
      : {
          host: at.hostname,
          port: at.port,
          protocol: at.protocol === 'https:' ? ('https' as const) : ('http' as const),
        }),
  });
}

/** A refused key, a bad request of ours, a limit or an outage: for the owner all mean "not now". */
function unavailable(cause: unknown): Unavailable {
  return { kind: 'unavailable', cause };
}
