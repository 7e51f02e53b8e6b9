// Whom the command talks to, and as whom. A flag beats the environment beats the context file.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import type { DescService } from '@bufbuild/protobuf';
import { createClient, type Client, type Interceptor } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { Option, type Command } from 'commander';
import { z } from 'zod';

import { addressText, parseAddresses, type Address } from '../agent/control-plane/address.ts';
import { CommandError, EXIT } from './failure.ts';
import { ReplicaTransport } from './replicas.ts';

/** Answers carry at most a 1 MiB chunk or page; 4 MiB is the control plane's own bound on a message. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** A control plane that is gone without a word is noticed within 30 s. */
const PING_INTERVAL_MS = 20_000;
const PING_TIMEOUT_MS = 10_000;
/** The slowest answer of one message, a 16 MiB module checked on a busy machine, takes some seconds. */
const UNARY_TIMEOUT_MS = 60_000;

/** A call whose control plane dies without a word would wait for ever; a watch may take its time. */
const limitUnary: Interceptor = (next) => (request) => {
  if (request.stream) return next(request);
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(UNARY_TIMEOUT_MS)]);
  return next({ ...request, signal });
};

export interface ConnectionOptions {
  readonly address?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** --address, of one replica or of several: a list with commas, whichever way it was given. */
export function addressOption(): Option {
  return new Option(
    '--address <host:port,...>',
    'the control plane, or each of its replicas; a list, or given again',
  )
    .argParser((text: string, before?: string) => (before ? `${before},${text}` : text))
    .env('GJ_ADDRESS');
}

/** Adds --address, --ca, --cert and --key. */
export function withConnection(command: Command): Command {
  return command
    .addOption(addressOption())
    .addOption(new Option('--ca <file>', "its authority's root certificate, PEM").env('GJ_CA'))
    .addOption(new Option('--cert <file>', 'your certificate, PEM').env('GJ_CERT'))
    .addOption(new Option('--key <file>', 'its private key, PEM').env('GJ_KEY'));
}

const Context = z.strictObject({
  address: z.string().optional(),
  ca: z.string().optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
});

/** `$GJ_CONTEXT`, or `~/.config/gap-junction/context.json`, which may be missing. */
function contextFile(): z.infer<typeof Context> {
  const named = process.env['GJ_CONTEXT'] || undefined;
  const path = named ?? join(homedir(), '.config', 'gap-junction', 'context.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (named === undefined && code === 'ENOENT') return {};
    throw new CommandError(
      `reading the context file '${path}' (GJ_CONTEXT): ${code}; 'gap-junction dev' writes one once it is ready, and says where`,
    );
  }
  try {
    return Context.parse(JSON.parse(text));
  } catch (error) {
    throw new CommandError(
      `reading the context file '${path}': it is not JSON with address, ca, cert and key (${(error as Error).message})`,
    );
  }
}

/** An open connection; `close` it, or the process does not end. */
export interface Connection {
  client<S extends DescService>(service: S): Client<S>;
  close(): void;
}

/** @throws CommandError naming all that is missing */
export function connect(options: ConnectionOptions): Connection {
  const context = contextFile();
  // An empty variable is as good as none.
  const address = options.address || context.address;
  const ca = options.ca || context.ca;
  const cert = options.cert || context.cert;
  const key = options.key || context.key;
  const missing = Object.entries({ address, ca, cert, key }).flatMap(([name, value]) =>
    value === undefined ? [`--${name} (or GJ_${name.toUpperCase()})`] : [],
  );
  if (address === undefined || ca === undefined || cert === undefined || key === undefined) {
    throw new CommandError(
      `connecting: give ${missing.join(', ')}, or a context file; 'gap-junction dev' writes one and says where`,
      EXIT.usage,
    );
  }
  return openConnection(address, {
    ca: readFileSync(ca),
    cert: readFileSync(cert),
    key: readFileSync(key),
  });
}

interface PemIdentity {
  readonly ca: PemText;
  readonly cert?: PemText;
  readonly key?: PemText;
}

/**
 * A connection as whoever holds this certificate and key, all PEM; as nobody without them. `addresses` is one
 * `host:port`, or several with commas: calls go to the first of them that can be reached.
 */
export function openConnection(addresses: string, identity: PemIdentity): Connection {
  const replicas = parseAddresses(addresses).map((address) => openReplica(address, identity));
  const transport = new ReplicaTransport(replicas);
  return {
    client: (service) => createClient(service, transport),
    close: () => {
      for (const { sessions } of replicas) sessions.abort();
    },
  };
}

function openReplica(address: Address, identity: PemIdentity) {
  const baseUrl = `https://${addressText(address)}`;
  const sessions = new Http2SessionManager(
    baseUrl,
    { pingIntervalMs: PING_INTERVAL_MS, pingTimeoutMs: PING_TIMEOUT_MS },
    { ...identity, minVersion: 'TLSv1.3' },
  );
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager: sessions,
    readMaxBytes: MAX_MESSAGE_BYTES,
    acceptCompression: [],
    interceptors: [limitUnary],
  });
  return { transport, sessions };
}

type PemText = string | Buffer;

/** Runs `work` over a connection that is closed afterwards. */
export async function connected<T>(
  options: ConnectionOptions,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = connect(options);
  try {
    return await work(connection);
  } finally {
    connection.close();
  }
}
