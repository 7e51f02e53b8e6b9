// Where processes run: a seat starts one, and another when that one has ended, as a supervisor does.
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { SimulatedAgent } from './agent.ts';
import type { NodeCredentials } from './identities.ts';
import { logInto } from './log.ts';
import type { Process } from './process.ts';
import { Replica } from './replica.ts';
import type { SeededRandom } from './random.ts';
import { SeededRandom as Random } from './random.ts';
import { SimulatedStore } from './simulated-store.ts';
import type { World } from './world.ts';

/** A supervisor starts anew what ended, after so long. */
const RESTART_MS = { least: 200, most: 20_000 };
const LEAST_AFTER_GIVING_UP_MS = 5_000;
const LONGEST_FIRST_DELAY_MS = 2_000;

abstract class Seat {
  readonly name: string;
  protected readonly world: World;
  /** Of the process that runs or starts, or of the last one. */
  process: Process | null = null;
  protected readonly random: SeededRandom;
  #lives = 0;
  #offMs = 0;
  #isOver = false;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    this.random = Random.of(world.seed).fork(name);
  }

  start(): void {
    this.#startAfter(this.random.between(0, LONGEST_FIRST_DELAY_MS));
  }

  /** Faults are over: what is paused goes on, what is off is set right. */
  calm(): void {
    this.process?.resume();
    if (this.process !== null) this.process.wallOffsetMs = 0;
  }

  /** For good. */
  end(): void {
    this.#isOver = true;
    this.process?.exit('the simulation is over');
  }

  /** Switched off, and on again after so long. */
  stayOff(forMs: number): void {
    this.#offMs = forMs;
    this.process?.kill(`it is switched off for ${forMs} ms`);
    this.#offMs = 0;
  }

  /** One that gave up by itself would do so again at once. */
  #restartMs({ wasKilled }: Process): number {
    if (this.#offMs > 0) return this.#offMs;
    const { least, most } = RESTART_MS;
    if (!wasKilled) return this.random.between(LEAST_AFTER_GIVING_UP_MS, most);
    return this.world.faults.isQuiet ? least : this.random.between(least, most);
  }

  protected abstract begin(process: Process, random: SeededRandom): void;

  #startAfter(delayMs: number): void {
    this.world.timeline.after(delayMs, () => {
      if (this.#isOver) return;
      const process = this.world.newProcess(this.name);
      // The machine's clock, and what is wrong with it, outlives the process.
      process.wallOffsetMs = this.world.faults.isQuiet ? 0 : (this.process?.wallOffsetMs ?? 0);
      this.process = process;
      process.onEnd(() => this.#startAfter(this.#restartMs(process)));
      this.world.trace.note(`${this.name} starts`);
      this.begin(process, this.random.fork(`life ${++this.#lives}`));
    });
  }
}

export class ReplicaSeat extends Seat {
  readonly address: string;
  /** Null while none serves. */
  replica: Replica | null = null;

  constructor(world: World, address: string) {
    super(world, address);
    this.address = address;
  }

  protected override begin(process: Process, random: SeededRandom): void {
    const { database, network, faults, bus, nonces, identities, trace, complaints } = this.world;
    process.onEnd(() => {
      this.replica = null;
    });
    const log = logInto(trace, this.name, (what) => complaints.push(what));
    const starting = Replica.start({
      process,
      random,
      store: new SimulatedStore(process, { database, network, faults }),
      announcements: bus.join(process),
      nonces: nonces.asSeenBy(process),
      secrets: identities.secrets,
      log,
    });
    void this.#serve(process, starting);
  }

  async #serve(process: Process, starting: Promise<Replica>): Promise<void> {
    const { trace } = this.world;
    try {
      const replica = await starting;
      if (!process.isAlive) return;
      trace.note(`${this.name} serves`);
      this.replica = replica;
    } catch (cause) {
      trace.comment(String(cause));
      process.exit('it could not start');
    }
  }

  /** As on SIGTERM. */
  stop(): void {
    const { replica, process } = this;
    if (replica === null || process === null || process.isPaused) return;
    this.replica = null;
    this.world.trace.note(`${this.name} is asked to stop`);
    void replica.stop();
  }
}

export class AgentSeat extends Seat {
  readonly node: NodeCredentials;
  readonly folder: string;
  agent: SimulatedAgent | null = null;

  constructor(world: World, name: string, node: NodeCredentials) {
    super(world, name);
    this.node = node;
    this.folder = join(world.folder, name);
  }

  /** A copy of the node's folder on another machine. */
  clone(name: string): AgentSeat {
    const seat = new AgentSeat(this.world, name, this.node);
    cpSync(this.folder, seat.folder, { recursive: true });
    return seat;
  }

  protected override begin(process: Process, random: SeededRandom): void {
    const { wire, habits, faults, complaints } = this.world;
    this.agent = new SimulatedAgent({
      process,
      random,
      wiring: wire,
      node: this.node,
      folderPath: this.folder,
      slots: this.random.between(1, 4),
      habits,
      atWrite: (writer) => faults.atWrite(writer),
      tell: () => {},
      complain: (what) => complaints.push(what),
    });
  }
}
