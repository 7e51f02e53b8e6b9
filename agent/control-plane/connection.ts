// One connection to one replica: HTTP/2 over TLS 1.3, trusting the pinned root and nothing else, under the
// node's certificate where there is one.
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { X509Certificate, type KeyObject } from 'node:crypto';

import type { DescService } from '@bufbuild/protobuf';
import { createClient, type Client } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';

import { AgentError } from '../error.ts';
import { findRoot, type RootPin } from '../identity/pinned-root.ts';
import { addressText, type Address } from './address.ts';

/** The control plane's own bound on a message: an inline output of 1 MiB and what goes with it. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** A silent connection is noticed within 30 s, half of a node's lost period. */
const PING_INTERVAL_MS = 20_000;
const PING_TIMEOUT_MS = 10_000;
/** A connection that a renewal replaced closes by itself when its last call has ended. */
const IDLE_TIMEOUT_MS = 60_000;
/** TCP and TLS together, where the caller sets no other bound. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Leaf, intermediates and root, with room. */
const MAX_PRESENTED_CERTIFICATES = 8;

export interface ClientCertificate {
  /** DER, leaf first, the root left off. */
  readonly chain: readonly Uint8Array[];
  readonly privateKey: KeyObject;
}

export interface Connection {
  readonly address: Address;
  client<S extends DescService>(service: S): Client<S>;
  /** Why the last handshake did not trust the other side; null where it did, or never came so far. */
  readonly distrust: () => string | null;
  /** Cuts everything that is open. */
  close(): void;
}

export interface ConnectOptions {
  readonly root: X509Certificate;
  readonly certificate: ClientCertificate | null;
  /** For TCP and TLS together, in milliseconds. Default 10 s. */
  readonly handshakeTimeoutMs?: number;
}

/** A connection that opens with its first call. */
export function connectTo(
  address: Address,
  { root, certificate, handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS }: ConnectOptions,
): Connection {
  let distrust: string | null = null;
  const baseUrl = `https://${addressText(address)}`;
  const tls = {
    ...serverOf(address),
    ca: root.toString(),
    ...(certificate === null
      ? {}
      : {
          cert: certificate.chain.map(pemOf).join(''),
          key: certificate.privateKey.export({ type: 'pkcs8', format: 'pem' }),
        }),
  };
  const sessions = new Http2SessionManager(
    baseUrl,
    {
      pingIntervalMs: PING_INTERVAL_MS,
      pingTimeoutMs: PING_TIMEOUT_MS,
      idleConnectionTimeoutMs: IDLE_TIMEOUT_MS,
    },
    {
      createConnection() {
        const socket = bounded(connect(tls), handshakeTimeoutMs);
        socket.once('error', (error: NodeJS.ErrnoException) => {
          distrust = isDistrust(error) ? error.message : null;
        });
        socket.once('secureConnect', () => {
          distrust = null;
        });
        return socket;
      },
    },
  );
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager: sessions,
    readMaxBytes: MAX_MESSAGE_BYTES,
    acceptCompression: [],
  });
  return {
    address,
    client: (service) => createClient(service, transport),
    distrust: () => distrust,
    close: () => sessions.abort(),
  };
}

/**
 * The pinned root's certificate as the control plane presents it in its handshake. Nothing is sent and
 * nothing but the pin is believed: every later connection verifies against what is found here.
 * Throws AgentError CONTROL_PLANE_UNREACHABLE, or CONTROL_PLANE_UNTRUSTED where the chain has no such root.
 */
export async function fetchRoot(
  address: Address,
  pin: RootPin,
  handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS,
): Promise<X509Certificate> {
  // Also with a root that is at hand: so a wrong address is told at once.
  const presented = await presentedBy(address, handshakeTimeoutMs);
  const root = findRoot(pin, presented);
  if (root === null) {
    throw new AgentError(
      'CONTROL_PLANE_UNTRUSTED',
      `connecting to ${addressText(address)}: none of the ${presented.length} certificates it presents has the pinned fingerprint; compare --ca-fingerprint with what the operator gave you`,
    );
  }
  return root;
}

function presentedBy(address: Address, timeoutMs: number): Promise<X509Certificate[]> {
  return new Promise((resolve, reject) => {
    const socket = bounded(connect({ ...serverOf(address), rejectUnauthorized: false }), timeoutMs);
    socket.once('secureConnect', () => {
      const chain = chainOf(socket);
      socket.destroy();
      resolve(chain);
    });
    socket.once('error', (cause) => {
      reject(
        new AgentError(
          'CONTROL_PLANE_UNREACHABLE',
          `connecting to ${addressText(address)}: ${cause.message}; is the control plane running, and --address right?`,
          { cause },
        ),
      );
    });
  });
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && chain.length < MAX_PRESENTED_CERTIFICATES) {
    chain.push(new X509Certificate(next.raw));
    if (next.issuerCertificate === next) break;
    next = next.issuerCertificate;
  }
  return chain;
}

function serverOf({ host, port }: Address) {
  return {
    host,
    port,
    // An IP address is no server name (RFC 6066, section 3); the certificate's IP addresses are checked.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    minVersion: 'TLSv1.3' as const,
    ALPNProtocols: ['h2'],
  };
}

function bounded(socket: TLSSocket, timeoutMs: number): TLSSocket {
  socket.setTimeout(timeoutMs, () => {
    socket.destroy(new Error(`No TLS session within ${timeoutMs} ms`));
  });
  socket.once('secureConnect', () => socket.setTimeout(0));
  socket.setNoDelay(true);
  return socket;
}

/** OpenSSL's verdicts on a chain, and Node's on a name. */
function isDistrust({ code = '' }: NodeJS.ErrnoException): boolean {
  return (
    code === 'ERR_TLS_CERT_ALTNAME_INVALID' || /CERT|ISSUER|SIGNATURE|CHAIN|PURPOSE|CA$/.test(code)
  );
}

function pemOf(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}
