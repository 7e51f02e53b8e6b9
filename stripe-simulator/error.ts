// Stripe's two shapes of an error: RFC 6749's under /oauth, its own under /v1.

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** RFC 6749, section 5.2, with the texts that Stripe uses. */
export function oauthError(error: string, description: string): Reply {
  return { status: 400, body: { error, error_description: description } };
}

export function apiError(
  status: number,
  error: { type: string; message: string; code?: string; param?: string },
): Reply {
  return { status, body: { error } };
}

/** Stripe shows the end of a key, never the whole. */
export function invalidKey(key: string): Reply {
  return apiError(401, {
    type: 'invalid_request_error',
    message: `Invalid API Key provided: ${key.slice(0, 8)}***${key.slice(-4)}`,
  });
}

export const noKey: Reply = apiError(401, {
  type: 'invalid_request_error',
  message:
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
});

/** What Stripe answers for an account of somebody else, and for none at all. */
export function accountInvalid(accountId: string): Reply {
  return apiError(403, {
    type: 'invalid_request_error',
    code: 'account_invalid',
    message: `The provided key does not have access to account '${accountId}' (or that account does not exist). Application access may have been revoked.`,
  });
}

export function unrecognizedUrl(method: string, path: string): Reply {
  return apiError(404, {
    type: 'invalid_request_error',
    message: `Unrecognized request URL (${method}: ${path}). The simulator speaks /oauth and /v1/accounts`,
  });
}

export const internalError: Reply = apiError(500, {
  type: 'api_error',
  message: 'An unknown error occurred',
});
