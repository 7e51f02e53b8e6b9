// The simulator as one HTTP server on loopback: Stripe's addresses, the page, the control.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { callApi } from './api.ts';
import { showAuthorize, submitAuthorize, type PageReply } from './authorize.ts';
import { simulatorClock, type SimulatorClock } from './clock.ts';
import { control } from './control.ts';
import { internalError, type Reply } from './error.ts';
import { Faults, type Fault } from './fault.ts';
import { readRequest, type Request } from './request.ts';
import { SimulatorState, token } from './state.ts';

export interface StripeSimulator {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Cuts open connections. */
  stop(): Promise<void>;
}

interface Simulation {
  readonly state: SimulatorState;
  readonly faults: Faults;
  readonly clock: SimulatorClock;
}

/**
 * Starts a simulator on 127.0.0.1. Port 0 takes a free one. With a `stateFile`, accounts, codes and
 * idempotent answers outlive it. Rejects when the port is taken or the file is not its own.
 */
export async function startStripeSimulator({
  port,
  stateFile = null,
  clock = simulatorClock,
}: {
  readonly port: number;
  readonly stateFile?: string | null;
  readonly clock?: SimulatorClock;
}): Promise<StripeSimulator> {
  const simulation = { state: new SimulatorState(stateFile), faults: new Faults(), clock };
  const server = createServer((message, response) => {
    handle(message, response, simulation).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function handle(
  message: IncomingMessage,
  response: ServerResponse,
  simulation: Simulation,
): Promise<void> {
  const request = await readRequest(message);
  if (request === null) {
    sendJson(response, { status: 413, body: { problem: 'The body is longer than 64 KiB' } });
    return;
  }
  if (request.path.startsWith('/simulator/')) {
    sendJson(response, await control(request, { ...simulation, nowMs: simulation.clock.now() }));
    return;
  }
  const fault = simulation.faults.take(request.path);
  if (fault?.kind === 'reset') {
    response.destroy();
    return;
  }
  if (fault?.kind === 'down') {
    sendJson(response, internalError);
    return;
  }
  const send = answer(request, simulation, fault);
  if (fault?.kind === 'slow') await simulation.clock.delay(fault.delayMs);
  if (fault?.kind === 'answer-lost') response.destroy();
  else send(response);
}

/** Does the work at once; the function it returns sends what came of it. */
function answer(
  request: Request,
  { state, clock }: Simulation,
  fault: Fault | null,
): (response: ServerResponse) => void {
  const nowMs = clock.now();
  if (request.path === '/oauth/authorize') {
    const page =
      request.method === 'POST'
        ? submitAuthorize(request, state, nowMs)
        : showAuthorize(request, state);
    return (response) => sendPage(response, page);
  }
  const requestId = `req_${token(7)}`;
  const reply = callApi(request, {
    state,
    nowMs,
    requestId,
    ignoreIdempotencyKey: fault?.ignoreIdempotencyKey ?? false,
  });
  return (response) => sendJson(response, reply, requestId);
}

function sendJson(response: ServerResponse, reply: Reply, requestId = `req_${token(7)}`): void {
  response.writeHead(reply.status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'request-id': requestId,
    ...reply.headers,
  });
  response.end(JSON.stringify(reply.body, null, 2));
}

function sendPage(response: ServerResponse, page: PageReply): void {
  const headers = { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' };
  if (page.kind === 'redirect') {
    response.writeHead(303, { ...headers, location: page.location });
    response.end();
    return;
  }
  // A browser applies form-action to the redirect after the form as well.
  const formAction = page.formTarget === undefined ? "'none'" : `'self' ${page.formTarget}`;
  response.writeHead(page.status, {
    ...headers,
    'content-type': 'text/html; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'content-security-policy': `default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action ${formAction}`,
  });
  response.end(page.html);
}
