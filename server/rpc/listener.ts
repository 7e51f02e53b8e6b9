// The port. TLS ends in a server of our own, not in grpc-js: it lets a stranger's handshake succeed so
// that its calls get a proper status, knows the socket under each call, and can change its certificate
// while it runs.
import type { Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type Server as TlsServer,
  type TLSSocket,
} from 'node:tls';
import {
  ServerCredentials,
  ServerInterceptingCall,
  Server as GrpcServer,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { definitionOf } from './adapter.ts';
import {
  AddressCounts,
  type AddressLimits,
  DEFAULT_ADDRESS_LIMITS,
  type Place,
} from './address-counts.ts';
import { Call } from './call.ts';
import { DEFAULT_CALL_LIMITS, type CallLimits } from './call-limits.ts';
import { Connections } from './connections.ts';
import type { Interceptor } from './interceptor.ts';
import { authenticate, type AuthenticateOptions } from './interceptors/authenticate.ts';
import { authorize } from './interceptors/authorize.ts';
import { limitCalls, limitEnrolments } from './interceptors/limit.ts';
import { log } from './interceptors/log.ts';
import { validate } from './interceptors/validate.ts';
import type { EnrolmentLimit } from './limits.ts';
import { servedMethods, type ServedMethod } from './method.ts';
import { peerOf, type TrustAnchors } from './peer.ts';
import { serve } from './serve.ts';
import type { ServiceImplementation } from './service.ts';

export interface ListenerLimits extends Partial<AddressLimits> {
  readonly maxConnections: number;
  /** Of those, connections without a valid certificate: strangers must not keep nodes out. */
  readonly maxUncertifiedConnections: number;
  readonly maxStreamsPerConnection: number;
  readonly maxMessageBytes: number;
  readonly calls?: CallLimits;
  /** Default 5 s. */
  readonly handshakeTimeoutMs?: number;
}

export interface TlsMaterial {
  /** PEM, leaf first. */
  readonly certificateChain: string;
  /** PEM, PKCS #8. */
  readonly privateKey: string;
  /** PEM: our root and intermediate, what a caller's certificate is checked against. */
  readonly authorities: readonly string[];
}

export interface ListenerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly tls: TlsMaterial;
  readonly anchors: TrustAnchors;
  readonly services: readonly ServiceImplementation[];
  /** Sees every call first, also those that are refused here. */
  readonly measure: Interceptor;
  readonly revocations: AuthenticateOptions['revocations'] & {
    onRevoked(listener: (serials: readonly string[]) => void): () => void;
  };
  readonly enrolmentLimit: EnrolmentLimit;
  readonly limits: ListenerLimits;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Listener {
  readonly port: number;
  /** New handshakes use this certificate; connections that stand are not touched. */
  setCertificate(tls: TlsMaterial): void;
  /** GOAWAY; streams end with UNAVAILABLE, other calls have `graceMs` to finish; then all is closed. */
  stop(graceMs: number): Promise<void>;
}

/** A handshake takes two round trips; a slower peer holds a socket for nothing. */
const HANDSHAKE_TIMEOUT_MS = 5000;

/** A peer that is gone is noticed after 30 s at the latest: half of what makes a node lost. */
const KEEPALIVE_INTERVAL_MS = 20_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;

/** How long the last statuses of a stopping server may take to leave. */
const FLUSH_MS = 500;

/** Throws when a method has no access option, the port is taken, or the key does not fit the certificate. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const authentication = { now: () => options.clock.now(), revocations: options.revocations };
  const interceptors: readonly Interceptor[] = [
    options.measure,
    authenticate(authentication),
    limitCalls(options.limits.calls ?? DEFAULT_CALL_LIMITS),
    authorize(authentication),
    limitEnrolments(options.enrolmentLimit),
    validate(),
    log({ now: authentication.now, log: options.log }),
  ];
  const connections = new Connections({ ...options, authentication });
  const methods = new Map<string, ServedMethod>();
  const grpc = new GrpcServer({
    'grpc.enable_channelz': 0,
    'grpc.keepalive_time_ms': KEEPALIVE_INTERVAL_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.max_concurrent_streams': options.limits.maxStreamsPerConnection,
    'grpc.max_receive_message_length': options.limits.maxMessageBytes,
    interceptors: [takeOver],
  });
  for (const implementation of options.services) {
    for (const method of servedMethods(implementation)) methods.set(method.path, method);
    grpc.addService(...definitionOf(implementation.service));
  }

  /** Serves the call here and gives grpc-js one that never starts. */
  function takeOver(...[descriptor, wire]: Parameters<ServerInterceptor>): ServerInterceptingCall {
    const method = methods.get(descriptor.path);
    const connection = connections.of(wire.getPeer());
    if (method === undefined || connection === undefined) {
      // The socket closed while the call's headers were on their way through here.
      wire.sendStatus({ code: status.UNAVAILABLE, details: 'the connection is closed' });
      return inert(wire);
    }
    serve(wire, {
      method,
      interceptors,
      now: authentication.now,
      newCall: (metadata, onEnd) => {
        const call = new Call({
          method,
          connection,
          wire,
          metadata,
          nowMs: options.clock.now(),
          log: options.log,
          onEnd: (ended, error) => {
            connections.callEnded(ended);
            onEnd(ended, error);
          },
        });
        connections.callBegan(call);
        return call;
      },
    });
    return inert(wire);
  }

  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const tls = createTlsServer({
    ...secureContext(options.tls),
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ALPNProtocols: ['h2'],
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: options.limits.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
  });
  tls.maxConnections = options.limits.maxConnections;
  // Those in their handshake, too, which a stop has to close as well.
  const sockets = new Set<Socket>();
  const addresses = new AddressCounts({ ...DEFAULT_ADDRESS_LIMITS, ...options.limits });
  /** Of connections in their handshake, by the peer's address and port. */
  const shaking = new Map<string, Place>();
  tls.on('connection', (socket: Socket) => {
    const place = addresses.enter(socket.remoteAddress ?? '');
    if (place === null) {
      socket.destroy();
      return;
    }
    const name = `${socket.remoteAddress}:${socket.remotePort}`;
    shaking.set(name, place);
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      if (shaking.get(name) === place) shaking.delete(name);
      place.leave();
    });
  });
  tls.on('secureConnection', (socket: TLSSocket) => {
    const name = `${socket.remoteAddress}:${socket.remotePort}`;
    shaking.get(name)?.shakenHands();
    shaking.delete(name);
    socket.on('error', () => socket.destroy());
    if (socket.alpnProtocol !== 'h2' || socket.remoteAddress === undefined) socket.destroy();
    else if (connections.accept(socket, peerOf(socket, options.anchors))) {
      injector.injectConnection(socket);
    }
  });
  // A failed handshake is the peer's own business.
  tls.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    // Node closes all others itself, after their alert; a silent peer would keep its place for ever.
    if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') socket.destroy();
    options.log.debug({ err: error, address: socket.remoteAddress }, 'TLS handshake failed');
  });

  /** Resolves with the work, or when it takes longer. */
  async function within(ms: number, work: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = options.clock.after(ms, resolve);
    await Promise.race([work, promise]);
    cancel();
  }

  await bound(tls, options);
  connections.watch();
  const address = tls.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    setCertificate: (material) => tls.setSecureContext(secureContext(material)),
    async stop(graceMs) {
      const closed = new Promise<void>((resolve) => tls.close(() => resolve()));
      // It sends GOAWAY, but on Node.js 26 takes a session that has begun to close for one that has closed,
      // so the end of the connections is watched here.
      grpc.tryShutdown(() => undefined);
      connections.endStreams();
      await within(graceMs, connections.allClosed());
      // What is still running is told so, for a client may wait for ever on a connection that just ends.
      connections.endCalls();
      await within(FLUSH_MS, connections.allClosed());
      grpc.forceShutdown();
      connections.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A call that grpc-js's own handlers never see. */
function inert(wire: Parameters<ServerInterceptor>[1]): ServerInterceptingCall {
  return new ServerInterceptingCall(wire, { start: () => undefined });
}

function secureContext(tls: TlsMaterial) {
  return { cert: tls.certificateChain, key: tls.privateKey, ca: [...tls.authorities] };
}

async function bound(tls: TlsServer, at: { readonly host: string; readonly port: number }) {
  await new Promise<void>((resolve, reject) => {
    tls.once('error', (cause) =>
      reject(
        new Error(
          `listening on ${at.host} port ${at.port}: ${cause.message}; name another --port`,
          {
            cause,
          },
        ),
      ),
    );
    tls.listen({ host: at.host, port: at.port }, resolve);
  });
}
