// The control plane's plain HTTP: the return page and nothing else. In front of it stands whatever
// terminates TLS for the public URL, or TLS of its own.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { RETURN_PATH } from '../enrolment/enrolment-service.ts';
import { returnPage, type Page, type ReturnPageDeps } from './return-page.ts';
import { problemPage } from './page.ts';

export interface HttpOptions extends ReturnPageDeps {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** PEM; absent behind a proxy, and on loopback. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export interface HttpListener {
  /** `http://127.0.0.1:PORT`, or https. */
  readonly url: string;
  stop(): Promise<void>;
}

/** A query of ours has a state and a code; twice the room of both. */
const MAX_URL_CHARACTERS = 2_048;
/** A slow sender holds a connection no longer. */
const REQUEST_TIMEOUT_MS = 10_000;
const MAX_HEADER_BYTES = 16_384;
const MAX_CONNECTIONS = 256;

export async function startHttp(options: HttpOptions): Promise<HttpListener> {
  const limits = {
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
  };
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    answer(options, request).then(
      (page) => send(response, page, request.method === 'HEAD'),
      (cause: unknown) => {
        options.onError('answering an HTTP request', cause);
        response.destroy();
      },
    );
  };
  const server: Server =
    options.tls === undefined
      ? createServer(limits, onRequest)
      : createTlsServer({ ...limits, ...options.tls }, onRequest);
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${host}:${port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(options: HttpOptions, { method, url = '/' }: IncomingMessage): Promise<Page> {
  const asked = URL.parse(url, 'http://localhost');
  if (asked === null || url.length > MAX_URL_CHARACTERS)
    return problem(414, 'The URL is too long.');
  if (asked.pathname !== RETURN_PATH) return problem(404, 'There is no such page.');
  if (method !== 'GET') return problem(405, 'This page can only be read.');
  return returnPage(options, asked.searchParams);
}

function problem(status: number, text: string): Page {
  return { status, html: problemPage(text) };
}

function send(response: ServerResponse, page: Page, headOnly: boolean): void {
  response.writeHead(page.status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy':
      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  });
  response.end(headOnly ? undefined : page.html);
}
