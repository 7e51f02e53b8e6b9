// GET /oauth/authorize shows the page on which an owner connects an account; POST is its button. What a
// real owner does over days at Stripe (documents, a bank account) are switches here.

import { VERIFIED, type AccountSwitches } from './account.ts';
import { connectPage, problemPage } from './page.ts';
import { formOf, type Request } from './request.ts';
import type { SimulatorState } from './state.ts';

export type PageReply =
  | {
      readonly kind: 'page';
      readonly status: number;
      readonly html: string;
      readonly formTarget?: string;
    }
  | { readonly kind: 'redirect'; readonly location: string };

/** What the platform asked for, carried through the form. */
export interface AuthorizeRequest {
  readonly clientId: string;
  readonly redirectUri: URL;
  readonly state: string;
}

/** Of an account's name: fits on a line. */
export const MAX_NAME_CHARACTERS = 80;

export function showAuthorize(request: Request, state: SimulatorState): PageReply {
  const asked = readAuthorizeRequest(request.query);
  if (typeof asked === 'string') return problem(asked);
  return {
    kind: 'page',
    status: 200,
    html: connectPage(asked, state.accounts()),
    formTarget: asked.redirectUri.origin,
  };
}

export function submitAuthorize(request: Request, state: SimulatorState, nowMs: number): PageReply {
  const form = formOf(request);
  const asked = readAuthorizeRequest(form);
  if (typeof asked === 'string') return problem(asked);
  const back = new URL(asked.redirectUri);
  if (form.get('decision') === 'deny') {
    back.searchParams.set('error', 'access_denied');
    back.searchParams.set('error_description', 'The user denied your request');
    back.searchParams.set('state', asked.state);
    return { kind: 'redirect', location: back.href };
  }
  const account = chosenAccount(form, state, nowMs);
  if (typeof account === 'string') return problem(account);
  back.searchParams.set('scope', 'read_write');
  back.searchParams.set('code', state.issueCode(account.id, nowMs));
  back.searchParams.set('state', asked.state);
  return { kind: 'redirect', location: back.href };
}

function chosenAccount(form: URLSearchParams, state: SimulatorState, nowMs: number) {
  const id = form.get('account') ?? 'new';
  if (id !== 'new')
    return state.account(id) ?? `There is no account '${id}' any more. Go back and choose another`;
  const name = (form.get('name') ?? '').trim();
  if (name === '' || name.length > MAX_NAME_CHARACTERS) {
    return `An account needs a name of 1 to ${MAX_NAME_CHARACTERS} characters. Go back and type one`;
  }
  return state.accountNamed(name, nowMs, switchesOf(form));
}

/** A form without any switch (a program's) means a verified account; a browser sends `switches`. */
function switchesOf(form: URLSearchParams): AccountSwitches {
  if (!form.has('switches')) return VERIFIED;
  return {
    detailsSubmitted: form.has('details_submitted'),
    payoutsEnabled: form.has('payouts_enabled'),
    transfers: form.has('transfers') ? 'active' : 'inactive',
    pastDue: form.has('past_due') ? ['individual.verification.document'] : [],
  };
}

function readAuthorizeRequest(parameters: URLSearchParams): AuthorizeRequest | string {
  const clientId = parameters.get('client_id') ?? '';
  if (!/^ca_[A-Za-z0-9_]{1,64}$/.test(clientId)) {
    return `No application matches the supplied client identifier '${clientId}'`;
  }
  if ((parameters.get('response_type') ?? 'code') !== 'code') {
    return `response_type must be 'code', not '${parameters.get('response_type')}'`;
  }
  const redirectUri = URL.parse(parameters.get('redirect_uri') ?? '');
  if (redirectUri === null || !/^https?:$/.test(redirectUri.protocol)) {
    return `Invalid redirect URI '${parameters.get('redirect_uri')}': it must be an http or https URL`;
  }
  const state = parameters.get('state') ?? '';
  return { clientId, redirectUri, state };
}

function problem(text: string): PageReply {
  return { kind: 'page', status: 400, html: problemPage(text) };
}
