// One call from its headers to its status. Handlers see it as their CallContext.
import { randomBytes } from 'node:crypto';
import type { Metadata, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { Connection } from './connection.ts';
import { RpcError } from './error.ts';
import type { ServedMethod } from './method.ts';
import type { CallContext, Caller } from './service.ts';
import { OK_STATUS, statusOf } from './status.ts';

/** What is told of a call once it is over. */
export type CallListener = (call: Call, error: unknown) => void;

const ANYONE: Caller = { kind: 'anyone' };

/** Anything else in `x-request-id` could forge log lines or fill them. */
const SANE_REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

const REQUEST_ID_BYTES = 8;

export class Call implements CallContext {
  readonly method: ServedMethod;
  readonly connection: Connection;
  readonly requestId: string;
  readonly startedMs: number;
  /** Set by the authentication. */
  caller: Caller = ANYONE;
  /** Since when a request message is awaited; null when none is. */
  awaitingRequestSinceMs: number | null = null;
  readonly #wire: ServerInterceptingCallInterface;
  readonly #parentLog: Logger;
  readonly #onEnd: CallListener;
  #log: Logger | null = null;
  #abort: AbortController | null = null;
  #ended = false;

  constructor(options: {
    readonly method: ServedMethod;
    readonly connection: Connection;
    readonly wire: ServerInterceptingCallInterface;
    readonly metadata: Metadata;
    readonly nowMs: number;
    readonly log: Logger;
    readonly onEnd: CallListener;
  }) {
    this.method = options.method;
    this.connection = options.connection;
    this.startedMs = options.nowMs;
    this.#wire = options.wire;
    this.#parentLog = options.log;
    this.#onEnd = options.onEnd;
    const [given] = options.metadata.get('x-request-id');
    this.requestId =
      typeof given === 'string' && SANE_REQUEST_ID.test(given)
        ? given
        : randomBytes(REQUEST_ID_BYTES).toString('hex');
  }

  get address(): string {
    return this.connection.address;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Made on demand: most calls never ask. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#ended) this.#abort.abort();
    return this.#abort.signal;
  }

  get log(): Logger {
    this.#log ??= this.#parentLog.child({
      requestId: this.requestId,
      method: this.method.path,
      caller: callerName(this.caller),
    });
    return this.#log;
  }

  /** Ends the call well. */
  succeed(): void {
    if (this.#ended) return;
    this.#wire.sendStatus(OK_STATUS);
    this.#end(null);
  }

  /** Ends the call with the status that the error stands for, whatever the handler is doing. */
  fail(error: unknown): void {
    if (this.#ended) {
      if (!isExpectedAfterEnd(error)) this.log.warn({ err: error }, 'call failed after its end');
      return;
    }
    this.#wire.sendStatus(statusOf(error, this.requestId));
    this.#end(error);
  }

  /** The caller went away, or its deadline passed: there is nobody to tell. */
  cancel(): void {
    if (!this.#ended) this.#end(null);
  }

  #end(error: unknown): void {
    this.#ended = true;
    this.awaitingRequestSinceMs = null;
    this.#abort?.abort();
    this.#onEnd(this, error);
  }
}

/** A handler that is told to stop may say so, and nobody is left to be told more. */
function isExpectedAfterEnd(error: unknown): boolean {
  return error instanceof RpcError || (error instanceof Error && error.name === 'AbortError');
}

/** `node/n-...` and so on, `anyone` for a caller without a certificate. */
export function callerName(caller: Caller): string {
  switch (caller.kind) {
    case 'anyone':
      return 'anyone';
    case 'node':
      return `node/${caller.nodeId}`;
    case 'client':
      return `client/${caller.clientId}`;
    case 'operator':
      return `operator/${caller.operatorId}`;
    default:
      return caller satisfies never;
  }
}
