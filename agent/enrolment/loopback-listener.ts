// Where Stripe's redirect reaches the agent: an HTTP listener on 127.0.0.1 that lives for one enrolment
// (RFC 8252, section 7.3). Any page in the owner's browser can send requests here, so only one that
// carries this enrolment's state counts, and everything is bounded.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { timingSafeEqual } from 'node:crypto';
import type { AddressInfo } from 'node:net';

import { digest } from '../../protocol/bill/digest.ts';

/** What Stripe said through the owner's browser. */
export type Redirect =
  | { readonly kind: 'code'; readonly code: string }
  /** The owner declined, or Stripe did. */
  | { readonly kind: 'refused'; readonly error: string; readonly description: string };

/** A code and a state have some 50 characters each. */
const MAX_URL_CHARACTERS = 4_096;
const MAX_CODE_CHARACTERS = 512;
const MAX_ERROR_CHARACTERS = 300;
const MAX_HEADER_BYTES = 16_384;
/** One browser opens a few at once. */
const MAX_CONNECTIONS = 16;
/** A browser on this machine needs none of it. */
const REQUEST_TIMEOUT_MS = 5_000;

export interface LoopbackListener {
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** Waits for the redirect that carries this state. Rejects when the signal is aborted. */
  redirect(state: string, signal: AbortSignal): Promise<Redirect>;
  close(): Promise<void>;
}

export async function listenOnLoopback(): Promise<LoopbackListener> {
  let waiting: { state: string; settle: (redirect: Redirect) => void } | null = null;
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
      keepAlive: false,
    },
    (request, response) => {
      const verdict = judge(request, waiting?.state ?? null);
      respond(response, verdict);
      if (verdict.redirect !== null) waiting?.settle(verdict.redirect);
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    redirect(state, signal) {
      return new Promise((resolve, reject) => {
        waiting = { state, settle: resolve };
        const give = () => reject(signal.reason);
        if (signal.aborted) give();
        else signal.addEventListener('abort', give, { once: true });
      });
    },
    async close() {
      server.closeIdleConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

interface Verdict {
  readonly status: number;
  readonly text: string;
  readonly redirect: Redirect | null;
}

/** What one request means, given the state that is waited for. */
function judge({ method, url = '' }: IncomingMessage, state: string | null): Verdict {
  const refuse = (status: number, text: string): Verdict => ({ status, text, redirect: null });
  if (method !== 'GET')
    return refuse(405, 'Only a browser that comes back from Stripe belongs here.');
  if (url.length > MAX_URL_CHARACTERS) return refuse(414, 'This address is too long.');
  const { pathname, searchParams } = new URL(url, 'http://127.0.0.1');
  if (pathname !== '/') return refuse(404, 'There is nothing here.');
  const given = searchParams.get('state');
  if (state === null || given === null || !sameText(given, state)) {
    return refuse(
      400,
      'This is not the enrolment that the agent waits for. Open the address that the agent printed last.',
    );
  }
  const error = searchParams.get('error');
  if (error !== null) {
    const description = (searchParams.get('error_description') ?? '').slice(
      0,
      MAX_ERROR_CHARACTERS,
    );
    return {
      status: 200,
      text: 'Stripe did not connect an account. Look at the agent for what to do next.',
      redirect: { kind: 'refused', error: error.slice(0, MAX_ERROR_CHARACTERS), description },
    };
  }
  const code = searchParams.get('code');
  if (code === null || code.length === 0 || code.length > MAX_CODE_CHARACTERS) {
    return refuse(
      400,
      "Stripe's answer has no code. Open the address that the agent printed again.",
    );
  }
  return {
    status: 200,
    text: 'Your account is connected. Go back to the agent: it finishes by itself. You can close this page.',
    redirect: { kind: 'code', code },
  };
}

function respond(response: ServerResponse, { status, text }: Verdict): void {
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
    connection: 'close',
  });
  // Only texts from this file are shown, so nothing of a stranger's can be markup.
  response.end(
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>Gap Junction</title><style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}</style><h1>Gap Junction</h1><p>${text}</p></html>\n`,
  );
}

function sameText(left: string, right: string): boolean {
  return timingSafeEqual(digest(Buffer.from(left)), digest(Buffer.from(right)));
}
