// The page that Stripe sends an owner's browser to where it may not go to the agent itself. It shows the
// account, whose key asked, and the code to paste; it is the only place where that code ever stands.

import { keyFingerprint } from '../../protocol/identity/key-fingerprint.ts';
import { connect, requireVerified, type ConnectionDeps } from '../enrolment/connection.ts';
import { findEnrolment, storeReturnCode } from '../enrolment/enrolment-store.ts';
import { makeReturnCode, returnCodeDigest, secretDigest } from '../enrolment/enrolment.ts';
import { RpcError } from '../rpc/error.ts';
import type { EnrolmentLimit } from '../rpc/limits.ts';
import { codePage, problemPage } from './page.ts';

export interface ReturnPageDeps extends ConnectionDeps {
  readonly randomBytes: (bytes: number) => Uint8Array;
  /** Per key, together with its tries to enrol: each visit may ask Stripe, which limits the platform. */
  readonly limit: EnrolmentLimit;
  /** What went wrong inside, for the log. */
  readonly onError: (doing: string, cause: unknown) => void;
}

export interface Page {
  readonly status: number;
  readonly html: string;
}

/** A state has 22 characters, a Stripe code some 40; the contract bounds them by these. */
const MAX_STATE_CHARACTERS = 128;
const MAX_CODE_CHARACTERS = 512;

/**
 * Answers `/stripe/return?code=&state=`. The same code of Stripe may be shown again (a reload): it proves
 * the browser. The state alone shows nothing: whoever started the enrolment knows it.
 */
export async function returnPage(deps: ReturnPageDeps, parameters: URLSearchParams): Promise<Page> {
  const state = parameters.get('state') ?? '';
  const stripeCode = parameters.get('code') ?? '';
  if (parameters.get('error') === 'access_denied') {
    return problem(
      400,
      'You did not connect an account. Open the connect URL again when you want to.',
    );
  }
  if (state === '' || state.length > MAX_STATE_CHARACTERS) return problem(400, STATE_UNKNOWN);
  if (stripeCode === '' || stripeCode.length > MAX_CODE_CHARACTERS) {
    return problem(400, 'Stripe sent no code. Open the connect URL again.');
  }
  try {
    return await showCode(deps, secretDigest(state), stripeCode);
  } catch (cause) {
    return pageOf(deps, cause);
  }
}

async function showCode(
  deps: ReturnPageDeps,
  stateDigest: Uint8Array,
  stripeCode: string,
): Promise<Page> {
  const { store, stripe, randomBytes, limit } = deps;
  const enrolment = await store.read((em) => findEnrolment(em, stateDigest));
  if (enrolment === null) return problem(404, STATE_UNKNOWN);
  if (enrolment.answer !== null) {
    return problem(409, 'This enrolment is done: the machine has its certificate.');
  }
  if (enrolment.channel !== 'return_code') {
    return problem(409, 'This enrolment goes on in the agent, not here. Start it again.');
  }
  // The address may be a proxy's; whoever holds a state was counted by his own when he asked for it.
  await limit('', enrolment.keyDigest);
  const accountId = await connect(deps, enrolment, stripeCode);
  await requireVerified(stripe, accountId);
  const code = makeReturnCode(randomBytes);
  await store.transaction((em) => storeReturnCode(em, stateDigest, returnCodeDigest(code)));
  return {
    status: 200,
    html: codePage({ accountId, fingerprint: keyFingerprint(enrolment.keyDigest), code }),
  };
}

const STATE_UNKNOWN =
  'This enrolment is not known, or its 10 minutes are over. Start it again on the machine.';

/** What an owner can do about it; nothing of the inside. */
const ADVICE: Readonly<Record<string, { status: number; text: (error: RpcError) => string }>> = {
  CODE_UNKNOWN: {
    status: 400,
    text: () => 'Stripe does not know this code any more. Open the connect URL again.',
  },
  CODE_USED: {
    status: 400,
    text: () => 'This code of Stripe was used before. Open the connect URL again.',
  },
  ACCOUNT_UNVERIFIED: {
    status: 403,
    text: ({ metadata }) =>
      `Stripe has not verified this account yet: ${missingText(metadata['missing'] ?? '')}. Complete it at Stripe, then load this page again.`,
  },
  RATE_LIMITED: {
    status: 429,
    text: () => 'This page was loaded too often for one machine. Load it again in a minute.',
  },
  STRIPE_UNAVAILABLE: {
    status: 503,
    text: () => 'Stripe does not answer just now. Load this page again in a minute.',
  },
};

const MISSING: Readonly<Record<string, string>> = {
  details_submitted: 'its details are not submitted',
  payouts_enabled: 'payouts are not enabled',
  transfers_capability: 'it cannot receive transfers',
  past_due_requirements: 'a requirement is past due',
  connection: 'it is not connected to this platform',
};

function missingText(missing: string): string {
  return missing
    .split(',')
    .map((name) => MISSING[name] ?? name)
    .join(', ');
}

function pageOf({ onError }: ReturnPageDeps, cause: unknown): Page {
  const advice = cause instanceof RpcError ? ADVICE[cause.reason] : undefined;
  if (advice !== undefined && cause instanceof RpcError) {
    if (cause.cause !== undefined) onError('showing the return page', cause.cause);
    return problem(advice.status, advice.text(cause));
  }
  onError('showing the return page', cause);
  return problem(500, 'Something went wrong here. Load this page again.');
}

function problem(status: number, text: string): Page {
  return { status, html: problemPage(text) };
}
