// One simulation: replicas, agents and clients that follow from a seed, faults for some virtual minutes,
// then quiet until every job is over, then the checks.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeId } from '../../protocol/identity/ids.ts';
import { creditClient } from '../../server/ledger/ledger-store.ts';
import { writeGrace } from '../../server/nodes/grace-store.ts';
import { insertNode } from '../../server/nodes/node-store.ts';
import { BeatRecord } from './beat-record.ts';
import { Bus } from './bus.ts';
import { SimulatedClient } from './client.ts';
import type { Database } from './database.ts';
import { Faults } from './faults.ts';
import type { GuestHabits } from './guests.ts';
import { START_MS, type Identities } from './identities.ts';
import { AgentSeat, ReplicaSeat } from './seats.ts';
import { Network } from './network.ts';
import { SharedNonces } from './nonces.ts';
import { Process } from './process.ts';
import { SeededRandom } from './random.ts';
import { Timeline } from './timeline.ts';
import { Trace } from './trace.ts';
import { Wire } from './wire.ts';

export const CREDIT_MICROCENTS = 10n ** 9n;

/** Faults happen, and jobs come, for so long; in one of eight seeds for long enough to lose nodes twice. */
const STORM_MS = { least: 20_000, most: 90_000, long: 240_000 };
const LONG_STORM_SHARE = 1 / 8;
/** Three attempts on nodes that never answer, one after the other, and what lies between. */
const LONGEST_QUIET_MS = 30 * 60_000;
/** Without such nodes: a grace, the loss of a node, and what guests take three times over. */
const LONGEST_RECOVERY_MS = 180_000;
/** Sweeps sign what is unsigned, and beats tell what is held. */
const AFTERMATH_MS = 20_000;
/** What was acknowledged just before a kill is erased by the sweep of each minute. */
const ERASURE_MS = 65_000;
const ACKNOWLEDGING_SHARE = 1 / 3;
const WARM_START_SHARE = 3 / 4;

const REPLICAS = { least: 2, most: 3 };
const AGENTS = { least: 3, most: 4 };
const CLIENTS = 2;
const JOBS = { least: 5, most: 15 };

export class World {
  readonly seed: number;
  readonly database: Database;
  readonly identities: Identities;
  readonly timeline = new Timeline(START_MS);
  readonly trace: Trace;
  readonly random: SeededRandom;
  readonly network: Network;
  readonly faults: Faults;
  readonly bus: Bus;
  readonly nonces: SharedNonces;
  readonly beats = new BeatRecord();
  readonly wire: Wire;
  readonly replicas: readonly ReplicaSeat[];
  readonly agents: AgentSeat[];
  readonly clients: readonly SimulatedClient[];
  readonly folder = mkdtempSync(join(tmpdir(), 'gj-simulation-'));
  readonly stormMs: number;
  readonly habits: GuestHabits;
  /** What must never happen, as far as it was noticed on the way. */
  readonly complaints: string[] = [];
  kills = 0;
  /** The database's time was virtual time throughout. */
  isDatabaseClockSound = true;
  /** Whether this seed's clients acknowledge outputs. */
  readonly acknowledges: boolean;

  constructor(
    seed: number,
    parts: {
      readonly database: Database;
      readonly identities: Identities;
      readonly print: ((line: string) => void) | null;
    },
  ) {
    this.seed = seed;
    this.database = parts.database;
    this.identities = parts.identities;
    const { timeline } = this;
    this.trace = new Trace(timeline, parts.print);
    const random = SeededRandom.of(seed);
    this.random = random.fork('world');
    this.network = new Network({ timeline, random: random.fork('network'), trace: this.trace });
    this.faults = new Faults(random.fork('faults'));
    this.bus = new Bus({ network: this.network, random: random.fork('bus') });
    this.nonces = new SharedNonces({ network: this.network, timeline });
    this.wire = new Wire(this, random.fork('wire'));
    const isLong = this.random.chance(LONG_STORM_SHARE);
    this.stormMs = this.random.between(STORM_MS.least, isLong ? STORM_MS.long : STORM_MS.most);
    this.acknowledges = this.random.chance(ACKNOWLEDGING_SHARE);
    const { shares } = this.faults.plan;
    this.network.slowShare = shares.slowMessages;
    this.bus.lostShare = shares.lostAnnouncements;
    this.habits = {
      faultShare: shares.guestFaults,
      hangingShare: shares.hangingGuests,
      longestMs: this.random.between(500, 12_000),
    };
    this.replicas = Array.from(
      { length: this.random.between(REPLICAS.least, REPLICAS.most) },
      (_, index) => new ReplicaSeat(this, `replica-${index + 1}:7443`),
    );
    this.agents = this.identities.nodes
      .slice(0, this.random.between(AGENTS.least, AGENTS.most))
      .map((node, index) => new AgentSeat(this, `agent-${index + 1}`, node));
    this.clients = Array.from(
      { length: CLIENTS },
      (_, index) =>
        new SimulatedClient({
          process: this.newProcess(`client-${index + 1}`),
          random: random.fork(`client-${index + 1}`),
          wiring: this.wire,
          clientId: makeId('c', this.random.bytes),
          addresses: this.addresses,
          jobs: this.random.between(JOBS.least, JOBS.most),
          withinMs: this.stormMs,
          acknowledgedShare: this.acknowledges ? 0.5 : 0,
        }),
    );
  }

  get addresses(): readonly string[] {
    return this.replicas.map(({ address }) => address);
  }

  newProcess(name: string): Process {
    const process = new Process(name, this);
    process.onEnd(() => {
      if (process.wasKilled) this.kills++;
    });
    return process;
  }

  /** Whether some guests, or the database's clock, may keep a lease open for as long as it lasts. */
  get mayHang(): boolean {
    return this.faults.plan.shares.hangingGuests > 0 || !this.isDatabaseClockSound;
  }

  setDatabaseClock(offsetMs: number): void {
    this.trace.note(`the clock of the database is off by ${offsetMs} ms`);
    this.database.wallOffsetMs = offsetMs;
    this.isDatabaseClockSound &&= offsetMs === 0;
  }

  /** Everything happens. Afterwards the database is as it was left, for the checks. */
  async run(): Promise<void> {
    const { timeline, faults, network, bus, trace } = this;
    await this.#prepare();
    for (const seat of this.replicas) seat.start();
    for (const seat of this.agents) seat.start();
    for (const client of this.clients) {
      client.run().catch((error: unknown) => {
        this.complaints.push(`'${client.clientId}' gave up: ${String(error)}`);
      });
    }
    this.wire.planIncidents();
    await timeline.runUntil(START_MS + this.stormMs);

    trace.note('quiet');
    faults.quieten();
    network.heal();
    bus.lostShare = 0;
    this.database.wallOffsetMs = 0;
    Object.assign(this.habits, { faultShare: 0, hangingShare: 0 });
    for (const seat of [...this.replicas, ...this.agents]) seat.calm();
    const isOver = () => this.clients.every(({ jobs }) => jobs.every(({ isOver: over }) => over));
    const quietMs = timeline.nowMs;
    await timeline.runUntil(quietMs + LONGEST_QUIET_MS, isOver);
    if (!this.mayHang && timeline.nowMs - quietMs > LONGEST_RECOVERY_MS) {
      const seconds = Math.round((timeline.nowMs - quietMs) / 1_000);
      this.complaints.push(`it took ${seconds} s of quiet until every job was over`);
    }
    await timeline.runUntil(timeline.nowMs + (this.acknowledges ? ERASURE_MS : AFTERMATH_MS));
    trace.note('over');
  }

  /** Ends all that runs, and leaves nothing on disk. */
  async close(): Promise<void> {
    for (const seat of [...this.replicas, ...this.agents]) seat.end();
    await this.timeline.settle();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #prepare(): Promise<void> {
    const { database, clients, agents, identities } = this;
    database.wallOffsetMs = 0;
    await database.clear();
    await database.at(START_MS, () =>
      database.store.transaction(async (em) => {
        // Otherwise nobody was there to hear the nodes, and none is lost in the first minute.
        if (this.random.chance(WARM_START_SHARE)) {
          await writeGrace(em, { untilMs: 0, observedMs: START_MS, isDamped: false });
        }
        for (const { clientId } of clients) {
          const credit = { clientId, requestId: clientId, operatorId: 'o-simulation' };
          await creditClient(em, { ...credit, microcents: CREDIT_MICROCENTS });
        }
        for (const { node } of agents) {
          const { nodeId, issued } = node;
          await insertNode(
            em,
            { nodeId, accountId: `acct-${nodeId}` },
            {
              keyId: issued.keyId,
              certificate: issued.certificate,
              issuerCertificate: issued.chain[1]!,
              serial: issued.serial,
              notAfterMs: issued.notAfterMs,
            },
          );
        }
      }),
    );
    for (const seat of agents) await identities.enrol(seat.folder, seat.node, this.addresses);
  }
}
