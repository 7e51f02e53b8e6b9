// Plain HTTP for people and machines that do not speak gRPC: every request is one line and gets one page.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** PEM; absent behind a proxy, and on loopback. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** GET for HEAD, too. The request's body is never read. */
  readonly answer: (request: {
    readonly method: string;
    readonly url: string;
  }) => Promise<HttpAnswer>;
  /** What went wrong inside, for the log; the caller's connection is cut. */
  readonly onError: (doing: string, cause: unknown) => void;
  /** Default 10 s. */
  readonly requestTimeoutMs?: number;
}

export interface HttpServer {
  /** `http://127.0.0.1:PORT`, or https. */
  readonly url: string;
  stop(): Promise<void>;
}

/** A slow sender, one that sends nothing, and one that does not read, hold a connection no longer. */
const REQUEST_TIMEOUT_MS = 10_000;
/** How late that may be noticed. */
const CHECK_INTERVAL_MS = 1_000;
const MAX_HEADER_BYTES = 16_384;
const MAX_CONNECTIONS = 256;

/** Requests that come in one piece are all answered at once: so many pages of a connection are in memory. */
const MAX_REQUESTS_PER_CONNECTION = 32;

/** Rejects where the port is taken. */
export async function serveHttp(options: HttpServerOptions): Promise<HttpServer> {
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  const limits = {
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: requestTimeoutMs,
    headersTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, requestTimeoutMs),
  };
  const onRequest = ({ method = '', url = '/' }: IncomingMessage, response: ServerResponse) => {
    const isHead = method === 'HEAD';
    options.answer({ method: isHead ? 'GET' : method, url }).then(
      (answer) => send(response, answer, isHead),
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
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
  server.setTimeout(requestTimeoutMs);
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

function send(
  response: ServerResponse,
  { status, contentType, text }: HttpAnswer,
  headOnly: boolean,
): void {
  response.writeHead(status, {
    'content-type': contentType,
    'cache-control': 'no-store',
    'content-security-policy':
      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  });
  response.end(headOnly ? undefined : text);
}
