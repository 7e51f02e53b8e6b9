// What a platform calls with its secret key: the token exchange and accounts.

import { accountJson, VERIFIED, type AccountSwitches } from './account.ts';
import {
  accountInvalid,
  apiError,
  invalidKey,
  noKey,
  oauthError,
  unrecognizedUrl,
  type Reply,
} from './error.ts';
import { formOf, requestDigest, type Request } from './request.ts';
import { token, type SimulatorState } from './state.ts';

/** Stripe's authorization codes live for five minutes. */
const CODE_LIFE_MS = 5 * 60_000;

/** Test keys only: nobody shall type a live key into a simulator. */
const SECRET_KEY = /^(sk|rk)_test_[A-Za-z0-9_]{1,200}$/;

export interface ApiContext {
  readonly state: SimulatorState;
  readonly nowMs: number;
  readonly requestId: string;
  readonly ignoreIdempotencyKey: boolean;
}

/** Answers a request under /v1 or /oauth/token; a repeated POST under one key gets its first answer. */
export function callApi(request: Request, context: ApiContext): Reply {
  const key = bearerOf(request);
  if (key === null) return noKey;
  if (!SECRET_KEY.test(key)) return invalidKey(key);
  const idempotencyKey = request.headers['idempotency-key'];
  if (
    request.method !== 'POST' ||
    typeof idempotencyKey !== 'string' ||
    context.ignoreIdempotencyKey
  ) {
    return route(request, context);
  }
  return once(request, context, idempotencyKey);
}

function once(request: Request, context: ApiContext, idempotencyKey: string): Reply {
  const digest = requestDigest(request);
  const kept = context.state.keyed(idempotencyKey);
  if (kept === undefined) {
    const reply = route(request, context);
    context.state.keep(idempotencyKey, {
      requestDigest: digest,
      reply,
      requestId: context.requestId,
    });
    return reply;
  }
  if (kept.requestDigest !== digest) {
    return apiError(400, {
      type: 'idempotency_error',
      message: `Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '${idempotencyKey}' if you meant to execute a different request.`,
    });
  }
  const headers = { 'idempotent-replayed': 'true', 'original-request': kept.requestId };
  return { ...kept.reply, headers };
}

function route(request: Request, context: ApiContext): Reply {
  const { method, path } = request;
  if (method === 'POST' && path === '/oauth/token') return exchange(formOf(request), context);
  if (method === 'POST' && path === '/v1/accounts') return createAccount(formOf(request), context);
  const [, id] = /^\/v1\/accounts\/([A-Za-z0-9_]{1,64})$/.exec(path) ?? [];
  if (id !== undefined && method === 'GET') return readAccount(id, context.state);
  return unrecognizedUrl(method, path);
}

function exchange(form: URLSearchParams, { state, nowMs }: ApiContext): Reply {
  const grantType = form.get('grant_type');
  if (grantType !== 'authorization_code') {
    return oauthError('unsupported_grant_type', `This grant type is not supported: ${grantType}`);
  }
  const code = form.get('code') ?? '';
  const known = state.code(code);
  if (known === undefined) {
    return oauthError('invalid_grant', `Authorization code does not exist: ${code}`);
  }
  if (known.used) {
    return oauthError(
      'invalid_grant',
      'This authorization code has already been used. All tokens issued with this code have been revoked.',
    );
  }
  if (nowMs - known.issuedMs > CODE_LIFE_MS) {
    return oauthError('invalid_grant', `Authorization code expired: ${code}`);
  }
  state.useCode(code);
  state.change(known.accountId, { connected: true });
  return {
    status: 200,
    body: {
      access_token: `sk_test_${token(12)}`,
      livemode: false,
      refresh_token: `rt_${token(12)}`,
      token_type: 'bearer',
      stripe_publishable_key: `pk_test_${token(12)}`,
      stripe_user_id: known.accountId,
      scope: 'read_write',
    },
  };
}

/** An account made by the platform itself: nothing of it is verified yet. */
function createAccount(form: URLSearchParams, { state, nowMs }: ApiContext): Reply {
  const name = form.get('business_profile[name]') ?? `Account ${token(4)}`;
  const switches: AccountSwitches = {
    ...VERIFIED,
    detailsSubmitted: false,
    payoutsEnabled: false,
    transfers: 'inactive',
  };
  const account = state.accountNamed(name, nowMs, switches);
  state.change(account.id, { connected: true });
  return { status: 200, body: accountJson(account) };
}

function readAccount(id: string, state: SimulatorState): Reply {
  const account = state.account(id);
  return account?.connected === true
    ? { status: 200, body: accountJson(account) }
    : accountInvalid(id);
}

/** Stripe takes the key as a bearer token or as the user name of basic authentication. */
function bearerOf(request: Request): string | null {
  const header = request.headers.authorization ?? '';
  const [, bearer] = /^Bearer (\S+)$/.exec(header) ?? [];
  if (bearer !== undefined) return bearer;
  const [, basic] = /^Basic (\S+)$/.exec(header) ?? [];
  return basic === undefined
    ? null
    : (Buffer.from(basic, 'base64').toString('utf8').split(':')[0] ?? null);
}
