// One request, read whole within a bound, its parameters as text.

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Stripe's bodies here are a few hundred bytes; a form of ours too. */
const MAX_BODY_BYTES = 64 * 1_024;

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  readonly headers: IncomingMessage['headers'];
}

/** Null when the body is longer than its bound. */
export async function readRequest(message: IncomingMessage): Promise<Request | null> {
  const url = new URL(message.url ?? '/', 'http://simulator');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return {
    method: message.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    body: Buffer.concat(chunks),
    headers: message.headers,
  };
}

/** The fields of an `application/x-www-form-urlencoded` body. */
export function formOf(request: Request): URLSearchParams {
  return new URLSearchParams(request.body.toString('utf8'));
}

/** The object of a JSON body; null for anything else. */
export function jsonOf(request: Request): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(request.body.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** What must be equal for two requests under one idempotency key to be the same. */
export function requestDigest(request: Request): string {
  return createHash('sha256')
    .update(`${request.method} ${request.path}\n`)
    .update(request.body)
    .digest('hex');
}
