// A whole system on this machine, from the same programs that run apart elsewhere: Stripe simulator,
// control plane, one agent, and a client with a balance. `dev`, `demo` and the benchmarks stand on it.
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';

import { connectAccount } from '../stripe-simulator/visit.ts';
import { certificatesPem, makeKeyAndRequest } from './admin/certificate-request.ts';
import { runCommandLine } from './command-line.ts';
import { connected } from './connection.ts';
import { LocalReplica } from './local-replica.ts';
import { Program, type ProgramEvent } from './processes.ts';

const STRIPE_SIMULATOR = fileURLToPath(new URL('../stripe-simulator/main.ts', import.meta.url));

/** Ten US dollars: enough for a few hundred thousand small jobs. */
export const FIRST_CREDIT_MICROCENTS = 1_000_000_000n;

export interface Credentials {
  readonly cert: string;
  readonly key: string;
}

export interface ControlPlane {
  /** `host:port` of each replica, with commas. */
  readonly address: string;
  readonly publicUrl: string;
  /** Path of the root certificate, PEM. */
  readonly ca: string;
  readonly caFingerprint: string;
  readonly operator: Credentials;
  readonly stripe: string;
  readonly replicas: readonly LocalReplica[];
  readonly simulator: Program;
}

export interface StartOptions {
  /** Gets the programs' logs as they come. */
  readonly onLog?: (program: string, text: string) => void;
  /** Gives up, and leaves no program behind. */
  readonly signal?: AbortSignal;
}

export interface LocalOptions extends StartOptions {
  readonly dataDir: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Each is a further replica's; they need PostgreSQL and Redis, by the server's environment. */
  readonly morePorts?: readonly number[];
  /** Further arguments of `server`. */
  readonly serverArgs?: readonly string[];
  /** Further variables of its environment. */
  readonly serverEnvironment?: Readonly<Record<string, string>>;
}

/** Starts simulator and control plane, and waits until both are ready. */
export async function startControlPlane(options: LocalOptions): Promise<ControlPlane> {
  const { dataDir, port, onLog, signal } = options;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const stateFile = join(dataDir, 'stripe.json');
  const simulator = new Program(
    'the Stripe simulator',
    STRIPE_SIMULATOR,
    ['--state-file', stateFile],
    {
      onLog: (text) => onLog?.('stripe', text),
    },
  );
  const stripe = String((await simulator.event('ready', signal))['url']);
  const replicas = [port, ...(options.morePorts ?? [])].map(
    (at) =>
      new LocalReplica({
        dataDir: join(dataDir, 'server'),
        port: at,
        stripe,
        args: options.serverArgs ?? [],
        environment: options.serverEnvironment ?? {},
        onLog: (text) => onLog?.('server', text),
      }),
  );
  try {
    const all = await Promise.all(replicas.map((replica) => replica.ready(signal)));
    const [ready] = all;
    if (ready === undefined) throw new RangeError('A control plane without a replica');
    return {
      address: all.map((one) => String(one['address'])).join(','),
      publicUrl: String(ready['publicUrl']),
      ca: String(ready['ca']),
      caFingerprint: String(ready['caFingerprint']),
      operator: ready['operator'] as Credentials,
      stripe,
      replicas,
      simulator,
    };
  } catch (error) {
    await Promise.all(replicas.map(({ program }) => program.stop()));
    await simulator.stop();
    throw error;
  }
}

export async function stopControlPlane({ replicas, simulator }: ControlPlane): Promise<void> {
  await Promise.all(replicas.map(({ program }) => program.stop()));
  await simulator.stop();
}

export { runCommandLine };

export interface EnrolledAgent {
  readonly nodeId: string;
  readonly dataDir: string;
}

/**
 * Enrols an agent of this data folder for the account, doing in the browser's place what its owner
 * would. `onConnectUrl` sees the page's address before. An agent that is enrolled stays as it is.
 */
export async function enrolAgent(
  controlPlane: Pick<ControlPlane, 'address' | 'caFingerprint'>,
  {
    dataDir,
    accountName,
    onConnectUrl,
    onLog,
    signal,
  }: StartOptions & {
    readonly dataDir: string;
    readonly accountName: string;
    readonly onConnectUrl?: (url: string) => void;
  },
): Promise<EnrolledAgent> {
  const enrolment = runCommandLine('agent', {
    args: [
      'enrol',
      `--data-dir=${dataDir}`,
      `--address=${controlPlane.address}`,
      `--ca-fingerprint=${controlPlane.caFingerprint}`,
      '--json',
    ],
    onLog: (text) => onLog?.('agent', text),
  });
  const { url } = await enrolment.event('connect_url', signal);
  onConnectUrl?.(String(url));
  const back = await connectAccount(String(url), { accountName });
  // What the browser would do next: follow Stripe's redirect to the agent on loopback.
  await (await fetch(back)).text();
  const { nodeId } = await enrolment.event('enrolled', signal);
  await enrolment.ended();
  return { nodeId: String(nodeId), dataDir };
}

interface RunOptions extends StartOptions {
  readonly dataDir: string;
  readonly slots?: number | undefined;
  /** Gets what the agent tells as it comes. */
  readonly onEvent?: (event: ProgramEvent) => void;
}

/** `agent run` of an enrolled agent, ready to take jobs of this control plane. */
export async function runAgent(
  controlPlane: Pick<ControlPlane, 'address'>,
  options: RunOptions,
): Promise<Program> {
  const agent = startAgent(controlPlane, options);
  await agent.event('ready', options.signal);
  return agent;
}

/** The same, not waited for. */
export function startAgent(
  { address }: Pick<ControlPlane, 'address'>,
  { dataDir, slots, onLog, onEvent }: RunOptions,
): Program {
  return runCommandLine('agent', {
    args: [
      'run',
      `--data-dir=${dataDir}`,
      // Not where it enrolled: the control plane may have been given another port since.
      `--address=${address}`,
      '--json',
      ...(slots === undefined ? [] : [`--slots=${slots}`]),
    ],
    onLog: (text) => onLog?.('agent', text),
    onEvent,
  });
}

export interface LocalClient extends Credentials {
  readonly clientId: string;
}

/** A client of this folder: its key and certificate made, and its first credit given, once. */
export async function openClient(
  controlPlane: Pick<ControlPlane, 'address' | 'ca' | 'operator'>,
  { dataDir, name }: { readonly dataDir: string; readonly name: string },
): Promise<LocalClient> {
  const key = join(dataDir, 'key.pem');
  const cert = join(dataDir, 'cert.pem');
  const idFile = join(dataDir, 'id');
  if (existsSync(idFile)) return { clientId: await readFile(idFile, 'utf8'), key, cert };
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const { keyPem, request } = await makeKeyAndRequest();
  const { address, ca, operator } = controlPlane;
  const clientId = await connected({ address, ca, ...operator }, async (connection) => {
    const admin = connection.client(ClientAdminService);
    const issued = await admin.issueCertificate({
      csr: request,
      subject: { case: 'newClientName', value: name },
    });
    await writeFile(key, keyPem, { mode: 0o600 });
    await writeFile(cert, certificatesPem(issued.certificateChain));
    await admin.creditClient({
      requestId: `first-${issued.id}`,
      clientId: issued.id,
      amountMicrocents: FIRST_CREDIT_MICROCENTS,
    });
    return issued.id;
  });
  // Last, so that a folder with an id has all the rest.
  await writeFile(idFile, clientId);
  return { clientId, key, cert };
}
