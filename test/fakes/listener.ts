// A real listener over TLS with a test authority and whatever services a test brings.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { DescService } from '@bufbuild/protobuf';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { type Logger, pino } from 'pino';
import { type Clock, systemClock } from '../../server/clock.ts';
import { type Listener, listen, type ListenerLimits } from '../../server/rpc/listener.ts';
import { memoryLimiter } from '../../server/rpc/limiter.ts';
import { enrolmentLimit } from '../../server/rpc/limits.ts';
import type { ServiceImplementation } from '../../server/rpc/service.ts';
import type { IssuedCertificate } from './authority.ts';
import { TestAuthority } from './authority.ts';

/** Revocations as a test makes them. */
export class TestRevocations {
  readonly #revoked = new Set<string>();
  readonly #listeners = new Set<(serials: readonly string[]) => void>();
  fresh = true;

  isRevoked(serial: string): boolean {
    return this.#revoked.has(serial);
  }

  isFresh(): boolean {
    return this.fresh;
  }

  onRevoked(listener: (serials: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  revoke(serial: string): void {
    this.#revoked.add(serial);
    for (const listener of this.#listeners) listener([serial]);
  }
}

export interface TestListener {
  readonly listener: Listener;
  readonly authority: TestAuthority;
  readonly revocations: TestRevocations;
  clientFor<S extends DescService>(service: S, identity: IssuedCertificate | null): Client<S>;
  /** A bare TLS connection; `h2` unless told otherwise. */
  socket(options?: object): Promise<TLSSocket>;
  /** A bare HTTP/2 connection. */
  http2(identity: IssuedCertificate | null): Promise<ClientHttp2Session>;
  stop(): Promise<void>;
}

export interface TestListenerOptions {
  readonly services: readonly ServiceImplementation[];
  readonly clock?: Clock;
  readonly limits?: Partial<ListenerLimits>;
  readonly log?: Logger;
  /** A free one unless told otherwise. */
  readonly port?: number;
}

const LIMITS: ListenerLimits = {
  maxConnections: 100,
  maxUncertifiedConnections: 50,
  maxStreamsPerConnection: 32,
  maxMessageBytes: 4 * 1024 * 1024,
};

/** So long a stop waits for calls that do not end. */
const STOP_GRACE_MS = 100;

export async function startListener(options: TestListenerOptions): Promise<TestListener> {
  const authority = await TestAuthority.create();
  const revocations = new TestRevocations();
  const server = await authority.server(['localhost']);
  const listener = await listen({
    host: '127.0.0.1',
    port: options.port ?? 0,
    tls: {
      certificateChain: server.chainPem,
      privateKey: server.keys.privateKeyPem,
      authorities: [authority.rootPem],
    },
    anchors: {
      trustDomain: authority.trustDomain,
      intermediates: server.chain.slice(1).map((der) => new X509Certificate(der)),
    },
    services: options.services,
    measure: {},
    revocations,
    enrolmentLimit: enrolmentLimit({
      newLimiter: memoryLimiter,
      perAddressPerSecond: 1000,
      burstPerAddress: 1000,
      perKeyPerMinute: 1000,
    }),
    limits: { ...LIMITS, ...options.limits },
    clock: options.clock ?? systemClock,
    log: options.log ?? pino({ level: 'silent' }),
  });
  const url = `https://localhost:${listener.port}`;
  const closers: (() => void)[] = [];
  const material = (identity: IssuedCertificate | null) => ({
    ca: authority.rootPem,
    ...(identity && { cert: identity.chainPem, key: identity.keys.privateKeyPem }),
  });
  return {
    listener,
    authority,
    revocations,
    clientFor(service, identity) {
      const sessionManager = new Http2SessionManager(url, {}, material(identity));
      closers.push(() => sessionManager.abort());
      return createClient(
        service,
        createGrpcTransport({ baseUrl: url, sessionManager, acceptCompression: [] }),
      );
    },
    async socket(extra = {}) {
      const socket = connectTls({
        port: listener.port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.rootPem,
        ALPNProtocols: ['h2'],
        ...extra,
      });
      closers.push(() => socket.destroy());
      await once(socket, 'secureConnect');
      return socket;
    },
    async http2(identity) {
      const session = connectHttp2(url, material(identity));
      closers.push(() => session.destroy());
      await once(session, 'connect');
      return session;
    },
    async stop() {
      for (const close of closers) close();
      await listener.stop(STOP_GRACE_MS);
    },
  };
}
