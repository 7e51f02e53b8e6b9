// All connections of a listener, and the rules that time alone enforces on them: certificates that end
// or are revoked in mid-stream, strangers that stay, requests that never come.
import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Call } from './call.ts';
import { Connection } from './connection.ts';
import { RpcError } from './error.ts';
import { type AuthenticateOptions, unauthenticated } from './interceptors/authenticate.ts';
import type { Peer, UncertifiedReason } from './peer.ts';

/** Streams of an expired certificate end within a second; one sweep looks at a number per connection. */
const SWEEP_INTERVAL_MS = 500;

/** Without a valid certificate there is nothing to do here but to enrol and to ask for health. */
const UNCERTIFIED_IDLE_MS = 10_000;

/** One message of 4 MiB over a slow line (1 Mbit/s) takes 34 s. */
const MAX_REQUEST_WAIT_MS = 40_000;

/** Of one request and one answer, where the caller sets no deadline: nobody waits longer. */
const MAX_UNARY_MS = 60_000;

const OPEN_SERVICES: ReadonlySet<string> = new Set([
  'gapjunction.node.v1.EnrolmentService',
  'grpc.health.v1.Health',
]);

export interface ConnectionsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: { readonly maxUncertifiedConnections: number };
  readonly authentication: AuthenticateOptions;
  readonly revocations: {
    onRevoked(listener: (serials: readonly string[]) => void): () => void;
  };
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #byPeerName = new Map<string, Connection>();
  #uncertified = 0;
  #stopWatching: (() => void)[] = [];
  #onAllClosed: (() => void) | null = null;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** By grpc-js's name of a call's peer. */
  of(peerName: string): Connection | undefined {
    return this.#byPeerName.get(peerName);
  }

  /** Whether the connection may stay; otherwise it is closed here. */
  accept(socket: TLSSocket, peer: Peer): boolean {
    const stranger = peer.kind === 'uncertified';
    if (stranger && this.#uncertified >= this.#options.limits.maxUncertifiedConnections) {
      socket.destroy();
      return false;
    }
    const connection = new Connection(socket, peer, this.#options.clock.now());
    this.#byPeerName.set(connection.peerName, connection);
    if (stranger) this.#uncertified++;
    socket.once('close', () => {
      this.#byPeerName.delete(connection.peerName);
      if (stranger) this.#uncertified--;
      if (this.#byPeerName.size === 0) this.#onAllClosed?.();
    });
    return true;
  }

  callBegan(call: Call): void {
    call.connection.calls.add(call);
  }

  callEnded(call: Call): void {
    const { connection, method } = call;
    connection.calls.delete(call);
    if (OPEN_SERVICES.has(method.descriptor.parent.typeName)) {
      connection.lastOpenCallMs = this.#options.clock.now();
    }
  }

  watch(): void {
    this.#stopWatching = [
      this.#options.clock.every(SWEEP_INTERVAL_MS, () => this.#sweep()),
      this.#options.revocations.onRevoked((serials) => this.#cutRevoked(new Set(serials))),
    ];
  }

  /** The server stops: ends the streams that would never end by themselves, those that answer for long. */
  endStreams(): void {
    for (const connection of this.#byPeerName.values()) {
      for (const call of connection.calls) {
        const { methodKind } = call.method.descriptor;
        if (methodKind === 'bidi_streaming' || methodKind === 'server_streaming') {
          call.fail(stopping(call));
        }
      }
    }
  }

  /** Resolves when no connection is left. */
  async allClosed(): Promise<void> {
    if (this.#byPeerName.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onAllClosed = resolve;
    });
  }

  endCalls(): void {
    for (const connection of this.#byPeerName.values()) {
      for (const call of connection.calls) call.fail(stopping(call));
    }
  }

  close(): void {
    for (const stop of this.#stopWatching) stop();
    for (const connection of this.#byPeerName.values()) connection.socket.destroy();
  }

  #cutRevoked(serials: ReadonlySet<string>): void {
    for (const connection of this.#byPeerName.values()) {
      const { peer } = connection;
      if (peer.kind === 'certified' && serials.has(peer.caller.serial)) {
        lapse(connection, 'CERTIFICATE_REVOKED', this.#options.clock.now());
      }
    }
  }

  #sweep(): void {
    const nowMs = this.#options.clock.now();
    for (const connection of this.#byPeerName.values()) {
      if (!isCertified(connection, nowMs, this.#options.authentication)) {
        if (connection.peer.kind === 'certified') lapse(connection, 'CERTIFICATE_EXPIRED', nowMs);
        closeIdleStranger(connection, nowMs);
      }
      for (const call of connection.calls) endWhenStalled(call, nowMs);
    }
  }
}

function isCertified(
  connection: Connection,
  nowMs: number,
  { revocations }: AuthenticateOptions,
): boolean {
  const { peer } = connection;
  if (peer.kind === 'uncertified') return false;
  return nowMs < peer.caller.expiresAtMs && !revocations.isRevoked(peer.caller.serial);
}

/**
 * The certificate is worth nothing any more. Streams end; calls with one request are let finish, since
 * they were judged when they came; the connection has the time of any stranger, so that the status arrives.
 */
function lapse(connection: Connection, reason: UncertifiedReason, nowMs: number): void {
  if (!connection.lapsed) connection.lastOpenCallMs = nowMs;
  connection.lapsed = true;
  for (const call of connection.calls) {
    const { methodKind } = call.method.descriptor;
    if (methodKind !== 'unary' && call.caller.kind !== 'anyone') {
      call.fail(unauthenticated(call, reason));
    }
  }
}

function closeIdleStranger(connection: Connection, nowMs: number): void {
  for (const call of connection.calls) {
    if (OPEN_SERVICES.has(call.method.descriptor.parent.typeName)) return;
  }
  if (nowMs - connection.lastOpenCallMs >= UNCERTIFIED_IDLE_MS) connection.socket.destroy();
}

/** Long silences belong to streams that go both ways alone. */
function endWhenStalled(call: Call, nowMs: number): void {
  const { descriptor, path } = call.method;
  const sinceMs = call.awaitingRequestSinceMs;
  if (descriptor.methodKind === 'unary' && nowMs - call.startedMs >= MAX_UNARY_MS) {
    call.fail(
      new RpcError(
        'DEADLINE_EXCEEDED',
        'CALL_STALLED',
        `calling ${path}: there was no answer within ${MAX_UNARY_MS} ms`,
      ),
    );
  } else if (
    descriptor.methodKind !== 'bidi_streaming' &&
    sinceMs !== null &&
    nowMs - sinceMs >= MAX_REQUEST_WAIT_MS
  ) {
    call.fail(
      new RpcError(
        'DEADLINE_EXCEEDED',
        'REQUEST_STALLED',
        `reading the request of ${path}: nothing came for ${MAX_REQUEST_WAIT_MS} ms`,
      ),
    );
  }
}

function stopping(call: Call): RpcError {
  return new RpcError(
    'UNAVAILABLE',
    'SHUTTING_DOWN',
    `calling ${call.method.path}: this server is stopping; connect again`,
  );
}
