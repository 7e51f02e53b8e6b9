// What a chaos run kills: real servers over a PostgreSQL and a Redis of its own, and real agents, each a
// process; and what becomes of it when the run ends, however it ends.
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openConnection, type Connection } from '../../cli/connection.ts';
import {
  openClient,
  startAgent,
  startControlPlane,
  stopControlPlane,
  type ControlPlane,
} from '../../cli/local-system.ts';
import type { LocalReplica } from '../../cli/local-replica.ts';
import type { Program, ProgramEvent } from '../../cli/processes.ts';
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { quietPorts } from '../fakes/quiet-ports.ts';
import { startRedis, type TestRedis } from '../fakes/redis.ts';
import { enrolMachine } from './enrol-machine.ts';
import { Links } from './links.ts';
import type { ChaosOptions } from './options.ts';

/**
 * A node that was killed is missed in 12 s. Enrolment is not what is tried, and all agents and clients come
 * from one address.
 */
const SERVER_ARGS = [
  '--heartbeat-interval-ms=3000',
  '--enrolments-per-address-per-second=1000',
  '--enrolment-burst-per-address=1000',
  '--log-level=info',
];
/** Two, so that a kill hits more than one job. */
const SLOTS = 2;
/**
 * Of the one client: a node's two sandboxes stay warm for it, so that a run is about kills and not about
 * sandboxes that start.
 */
const CONNECTIONS = 2;

interface Machine {
  readonly dataDir: string;
  /** Null until it was started. */
  program: Program | null;
}

export class ChaosWorld {
  readonly folder = mkdtempSync(join(tmpdir(), 'gap-junction-chaos-'));
  readonly links = new Links();
  /** Programs that ended though nobody killed them. */
  readonly problems: string[] = [];
  readonly #connections: Connection[] = [];
  readonly #machines: Machine[] = [];
  readonly #readyReplicas = new Set<number>();
  readonly #stopping = new AbortController();
  #postgresql: Postgresql | null = null;
  #redis: TestRedis | null = null;
  #controlPlane: ControlPlane | null = null;
  #databaseUrl = '';

  get databaseUrl(): string {
    return this.#databaseUrl;
  }

  get agentFolders(): string[] {
    return this.#machines.map(({ dataDir }) => dataDir);
  }

  /** Starts all of it; whatever comes of that, `dispose` ends what was started. */
  async start({ replicas, agents }: ChaosOptions, signal: AbortSignal): Promise<void> {
    mkdirSync(join(this.folder, 'logs'));
    this.#postgresql = await startPostgresql();
    this.#redis = await startRedis(['--maxmemory-policy', 'noeviction']);
    this.#databaseUrl = this.#postgresql.newDatabase();
    const [port = 0, ...morePorts] = await quietPorts(replicas);
    this.#controlPlane = await startControlPlane({
      dataDir: this.folder,
      port,
      morePorts,
      serverArgs: SERVER_ARGS,
      serverEnvironment: { GJ_DATABASE_URL: this.#databaseUrl, GJ_REDIS_URL: this.#redis.url },
      onLog: this.#logTo('servers'),
      signal,
    });
    for (const [index] of this.#replicas.entries()) {
      this.#readyReplicas.add(index);
      this.links.replicaReady(this.#addressOf(index), Date.now());
      this.#watchEnd(this.#replica(index).program, `the replica ${index}`);
    }
    for (let index = 0; index < agents; index++) {
      const dataDir = join(this.folder, `agent-${index}`);
      await enrolMachine(this.#plane, { dataDir, accountName: `Owner ${index}`, signal });
      this.#machines.push({ dataDir, program: null });
    }
    await Promise.all(
      this.#machines.map(async (_, index) => {
        this.startAgent(index);
        await this.#machine(index).program?.event('ready', signal);
      }),
    );
  }

  /** Connections of a client, with the addresses of all replicas, beginning with another one each. */
  async connectClient(): Promise<readonly Connection[]> {
    const plane = this.#plane;
    const dataDir = join(this.folder, 'client');
    const { cert, key } = await openClient(plane, { dataDir, name: 'A client' });
    for (let index = 0; index < CONNECTIONS; index++) {
      const addresses = plane.address.split(',');
      const order = [...addresses.slice(index), ...addresses.slice(0, index)].join(',');
      const files = {
        ca: readFileSync(plane.ca),
        cert: readFileSync(cert),
        key: readFileSync(key),
      };
      this.#connections.push(openConnection(order, files));
    }
    return this.#connections;
  }

  isReady(replica: number): boolean {
    return this.#readyReplicas.has(replica);
  }

  get readyCount(): number {
    return this.#readyReplicas.size;
  }

  isRunning(agent: number): boolean {
    return this.#machine(agent).program?.running ?? false;
  }

  /** Answers whether there was a process to kill. */
  async killReplica(index: number): Promise<boolean> {
    const { program } = this.#replica(index);
    if (!program.running) return false;
    this.#readyReplicas.delete(index);
    this.links.replicaDied(this.#addressOf(index), Date.now());
    this.#expected.add(program);
    await program.stop('SIGKILL');
    return true;
  }

  /** Starts a replica again, unless it runs; answers, when it serves, whether it was not killed before. */
  async startReplica(index: number): Promise<boolean> {
    const replica = this.#replica(index);
    if (replica.program.running || this.#stopping.signal.aborted) return false;
    replica.restart();
    const { program } = replica;
    this.#watchEnd(program, `the replica ${index}`);
    try {
      await replica.ready();
    } catch {
      // Killed before it was ready, or it ended by itself, which is told elsewhere.
      return false;
    }
    if (replica.program !== program || !program.running) return false;
    this.#readyReplicas.add(index);
    this.links.replicaReady(this.#addressOf(index), Date.now());
    return true;
  }

  async killAgent(index: number): Promise<boolean> {
    const { program } = this.#machine(index);
    if (program === null || !program.running) return false;
    this.links.agentDied(index);
    this.#expected.add(program);
    await program.stop('SIGKILL');
    return true;
  }

  /** Without effect where it runs. */
  startAgent(index: number): void {
    const machine = this.#machine(index);
    if (machine.program?.running === true || this.#stopping.signal.aborted) return;
    const program = startAgent(this.#plane, {
      dataDir: machine.dataDir,
      slots: SLOTS,
      onLog: this.#logTo(`agent-${index}`),
      onEvent: (event) => {
        if (machine.program === program) this.#heard(index, event);
      },
    });
    machine.program = program;
    this.#watchEnd(program, `the agent ${index}`);
  }

  /** Ends the agents as their owners do, so that their folders can be read. */
  async stopAgents(): Promise<void> {
    await Promise.all(
      this.#machines.map(async ({ program }) => {
        if (program === null) return;
        this.#expected.add(program);
        await program.stop();
      }),
    );
  }

  /** Ends everything that was started, and erases the folder unless `keep` wants to look into it. */
  async dispose({ keep }: { readonly keep: boolean }): Promise<void> {
    this.#stopping.abort();
    for (const connection of this.#connections) connection.close();
    const programs = [
      ...this.#machines.flatMap(({ program }) => program ?? []),
      ...this.#replicas.map(({ program }) => program),
    ];
    for (const program of programs) this.#expected.add(program);
    await Promise.all(programs.map((program) => program.stop('SIGKILL')));
    if (this.#controlPlane !== null) await stopControlPlane(this.#controlPlane);
    await this.#redis?.stop();
    this.#postgresql?.stop();
    if (!keep) rmSync(this.folder, { recursive: true, force: true });
  }

  readonly #expected = new WeakSet<Program>();

  #watchEnd(program: Program, name: string): void {
    const told = async (): Promise<void> => {
      const code = await program.ended();
      if (this.#expected.has(program)) return;
      const last = program.log.trimEnd().split('\n').at(-1) ?? '';
      this.problems.push(`${name} ended by itself (${code}): ${last}`);
    };
    void told();
  }

  #heard(agent: number, event: ProgramEvent): void {
    if (event.event !== 'linked') return;
    this.links.agentLinked(agent, String(event['address']), Date.now());
  }

  /** Logs are kept as they come, for whoever has to find out why. */
  #logTo(name: string): (program: string, text: string) => void {
    const file = createWriteStream(join(this.folder, 'logs', `${name}.log`), { flags: 'a' });
    return (_, text) => file.write(text);
  }

  get #plane(): ControlPlane {
    if (this.#controlPlane === null) throw new RangeError('The control plane was not started');
    return this.#controlPlane;
  }

  get #replicas(): readonly LocalReplica[] {
    return this.#controlPlane?.replicas ?? [];
  }

  #replica(index: number): LocalReplica {
    const replica = this.#replicas[index];
    if (replica === undefined) throw new RangeError(`There is no replica ${index}`);
    return replica;
  }

  #addressOf(index: number): string {
    return this.#plane.address.split(',')[index] ?? '';
  }

  #machine(index: number): Machine {
    const machine = this.#machines[index];
    if (machine === undefined) throw new RangeError(`There is no agent ${index}`);
    return machine;
  }
}
