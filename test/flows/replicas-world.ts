// Several real `server` processes over one PostgreSQL, one Redis and one data folder, with a client, and
// agents that are told which of them to go to.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { openConnection, type Connection } from '../../cli/connection.ts';
import {
  enrolAgent,
  openClient,
  runAgent,
  runCommandLine,
  type Credentials,
  type EnrolledAgent,
  type LocalClient,
} from '../../cli/local-system.ts';
import { Program } from '../../cli/processes.ts';

const STRIPE_SIMULATOR = fileURLToPath(new URL('../../stripe-simulator/main.ts', import.meta.url));

/** A node that was killed is missed in 8 s: longer than an agent with a lease waits to connect again. */
const SERVER_ARGS = ['--heartbeat-interval-ms=500', '--lost-after-intervals=16'] as const;

export interface Replica {
  readonly address: string;
  readonly caFingerprint: string;
  readonly ca: string;
  readonly operator: Credentials;
  readonly program: Program;
}

export class ReplicasWorld {
  readonly folder = mkdtempSync(join(tmpdir(), 'gap-junction-replicas-'));
  readonly #environment: Readonly<Record<string, string>>;
  readonly #simulator: Program;
  readonly #programs: Program[] = [];
  readonly #connections: Connection[] = [];
  #stripe = '';

  /** `redisUrl`: several with commas for a Cluster. */
  constructor(urls: { readonly databaseUrl: string; readonly redisUrl: string }) {
    this.#environment = { GJ_DATABASE_URL: urls.databaseUrl, GJ_REDIS_URL: urls.redisUrl };
    const stateFile = join(this.folder, 'stripe.json');
    this.#simulator = new Program('the Stripe simulator', STRIPE_SIMULATOR, [
      `--state-file=${stateFile}`,
    ]);
  }

  async start({
    port = 0,
    args = [] as readonly string[],
    dataDir = 'server',
  } = {}): Promise<Replica> {
    this.#stripe ||= String((await this.#simulator.event('ready'))['url']);
    const program = runCommandLine('server', {
      args: [
        `--port=${port}`,
        `--data-dir=${join(this.folder, dataDir)}`,
        '--stripe=simulator',
        `--stripe-simulator-url=${this.#stripe}`,
        '--json',
        ...SERVER_ARGS,
        ...args,
      ],
      environment: this.#environment,
    });
    this.#programs.push(program);
    const ready = await program.event('ready');
    return {
      address: String(ready['address']),
      caFingerprint: String(ready['caFingerprint']),
      ca: String(ready['ca']),
      operator: ready['operator'] as Credentials,
      program,
    };
  }

  /** To this replica, as this caller. */
  connect({ address, ca }: Replica, { cert, key }: Credentials): Connection {
    const files = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
    const connection = openConnection(address, files);
    this.#connections.push(connection);
    return connection;
  }

  async client(replica: Replica): Promise<LocalClient> {
    return openClient(replica, { dataDir: join(this.folder, 'client'), name: 'A client' });
  }

  async enrol(replica: Replica, accountName: string): Promise<EnrolledAgent> {
    return enrolAgent(replica, { dataDir: join(this.folder, accountName), accountName });
  }

  async run({ dataDir }: EnrolledAgent, replica: Pick<Replica, 'address'>): Promise<Program> {
    const agent = await runAgent(replica, { dataDir, slots: 1 });
    this.#programs.push(agent);
    return agent;
  }

  async dispose(): Promise<void> {
    for (const connection of this.#connections.splice(0)) connection.close();
    await Promise.all(this.#programs.splice(0).map((program) => program.stop('SIGKILL')));
    await this.#simulator.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
