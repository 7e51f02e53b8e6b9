// What is done to a simulation's messages and processes while its faults last.
import type { DescMethod, Message } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import {
  DispatchService,
  type CompleteRequest,
  type WorkRequest,
} from '#gen/gapjunction/node/v1/dispatch_pb';
import {
  HeartbeatService,
  type HeartbeatRequest,
  type HeartbeatResponse,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import { SimulatedConnection, type Wiring } from './connection.ts';
import type { Incident } from './faults.ts';
import type { Network } from './network.ts';
import type { Process } from './process.ts';
import type { SeededRandom } from './random.ts';
import type { Replica } from './replica.ts';
import type { Trace } from './trace.ts';
import { transportOver } from './transport.ts';
import type { WireMessage, Wiretap } from './wiretap.ts';
import type { World } from './world.ts';

/** A repeated Complete comes at once, or after its lease has ended. */
const LONGEST_REPEAT_MS = 120_000;
/** Half of them are over before anybody notices; the others outlast every timeout. */
const SHORT_CUT_MS = { least: 100, most: 8_000 };
const LONG_CUT_MS = { least: 8_000, most: 90_000 };
/** Longer than a node may be silent. */
const OFF_MS = { least: 50_000, most: 120_000 };
/** Within what is tolerated, and five minutes, which is not. */
const CLOCK_OFFSETS_MS = [0, 40_000, 300_000, -40_000, -300_000];

export class Wire implements Wiring, Wiretap {
  readonly #world: World;
  readonly #random: SeededRandom;
  /** Receipts that were taken, and from whom. */
  readonly answeredCompletes: { readonly nodeId: string; readonly taskId: string }[] = [];
  readonly #asked = new WeakMap<object, CompleteRequest>();
  readonly #sentBeats = new Map<string, HeartbeatRequest[]>();
  #calls = 0;
  #clones = 0;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
  }

  get network(): Network {
    return this.#world.network;
  }

  get trace(): Trace {
    return this.#world.trace;
  }

  get wiretap(): Wiretap {
    return this;
  }

  replicaAt(address: string): Replica | null {
    return this.#world.replicas.find((seat) => seat.address === address)?.replica ?? null;
  }

  nextCallNumber(): number {
    return ++this.#calls;
  }

  beforeSend(sender: Process): void {
    this.#world.faults.atMessage(sender);
  }

  afterSend(sender: Process): void {
    this.#world.faults.atMessage(sender);
  }

  isCut(): boolean {
    return this.#chance('cutConnections');
  }

  onSent(sent: WireMessage): readonly Message[] {
    const { method, message, direction } = sent;
    if (isMethod(method, HeartbeatService.method.heartbeat)) {
      return direction === 'up' ? this.#onBeat(sent) : this.#onReply(sent);
    }
    if (direction === 'up' && isMethod(method, DispatchService.method.work)) {
      const { kind } = message as WorkRequest;
      const isLost = kind.case === 'acknowledgement' && this.#chance('lostAcknowledgements');
      return isLost ? [] : [message];
    }
    if (isMethod(method, DispatchService.method.complete)) this.#onComplete(sent);
    return [message];
  }

  #onBeat({ caller, message }: WireMessage): readonly Message[] {
    if (caller.kind !== 'node') return [message];
    const beat = message as HeartbeatRequest;
    const earlier = this.#sentBeats.get(caller.nodeId) ?? [];
    this.#sentBeats.set(caller.nodeId, [...earlier, beat]);
    if (this.#chance('tamperedBeats')) {
      const { faults, beats } = this.#world;
      beats.noteTampered(caller.nodeId, beat);
      return [faults.tamper(beat)];
    }
    if (earlier.length > 0 && this.#chance('replayedBeats')) {
      return [this.#random.pick(earlier), beat];
    }
    return [beat];
  }

  #onComplete({ call, caller, direction, message }: WireMessage): void {
    if (direction === 'up') {
      const request = message as CompleteRequest;
      this.#asked.set(call, request);
      if (this.#chance('repeatedCompletes')) this.#repeatLater(request);
      return;
    }
    const taskId = this.#asked.get(call)?.taskId;
    if (taskId === undefined || caller.kind !== 'node') return;
    this.answeredCompletes.push({
      nodeId: caller.nodeId,
      taskId: Buffer.from(taskId).toString('hex'),
    });
  }

  #onReply({ caller, message, callNumber }: WireMessage): readonly Message[] {
    if (caller.kind === 'node') {
      this.#world.beats.noteReply(caller.nodeId, message as HeartbeatResponse, {
        stream: callNumber,
        atMs: this.#world.timeline.nowMs,
      });
    }
    return [message];
  }

  /** By the same node, or by another in its place. Whatever is answered, nobody listens. */
  #repeatLater(request: CompleteRequest): void {
    const { timeline, agents, addresses } = this.#world;
    const { node } = this.#random.pick(agents);
    const address = this.#random.pick(addresses);
    const delayMs = this.#random.between(0, LONGEST_REPEAT_MS);
    timeline.after(delayMs, () => {
      const client = this.#world.newProcess('somebody');
      const connection = new SimulatedConnection(this, { client, caller: node.caller, address });
      createClient(DispatchService, transportOver(connection))
        .complete(request)
        .catch(() => {});
    });
  }

  #chance(share: Parameters<World['faults']['chance']>[0]): boolean {
    return this.#world.faults.chance(share);
  }

  /** Incidents come one after the other until the quiet. */
  planIncidents(): void {
    const { timeline, faults } = this.#world;
    const { incidents, betweenMs } = faults.plan;
    if (incidents.length === 0) return;
    timeline.after(this.#random.between(1, 2 * betweenMs), () => {
      if (faults.isQuiet) return;
      this.#cause(this.#random.pick(incidents));
      this.planIncidents();
    });
  }

  #cause(incident: Incident): void {
    const { network, bus, nonces, timeline, faults } = this.#world;
    const replica = this.#random.pick(this.#world.replicas);
    const agent = this.#random.pick(this.#world.agents);
    const forMs = this.#cutMs();
    switch (incident) {
      case 'kill-replica':
        replica.process?.kill(incident);
        break;
      case 'kill-agent':
        agent.process?.kill(incident);
        break;
      case 'switch-off-agent':
        agent.stayOff(this.#random.between(OFF_MS.least, OFF_MS.most));
        break;
      case 'kill-all-replicas':
        for (const one of this.#world.replicas) one.process?.kill(incident);
        break;
      case 'stop-replica':
        replica.stop();
        break;
      case 'stop-agent':
        agent.agent?.stop();
        break;
      case 'pause-replica':
      case 'pause-agent': {
        const { process } = incident === 'pause-replica' ? replica : agent;
        process?.pause();
        timeline.after(forMs, () => process?.resume());
        break;
      }
      case 'cut-agent-link':
        network.cutLink(agent.name, replica.address, forMs);
        break;
      case 'cut-off-agent':
        for (const { address } of this.#world.replicas) network.cutLink(agent.name, address, forMs);
        break;
      case 'cut-client-link':
        network.cutLink(`client-${this.#random.between(1, 2)}`, replica.address, forMs);
        break;
      case 'cut-database-link':
        network.cutLink(replica.address, 'database', forMs);
        break;
      case 'cut-bus-link':
        if (replica.process !== null) bus.cutOff(replica.process, forMs);
        break;
      case 'cut-redis-link':
        network.cutLink(replica.address, 'redis', forMs);
        break;
      case 'forget-nonces':
        nonces.forget();
        break;
      case 'set-replica-clock':
        this.#setClock(replica.process);
        break;
      case 'set-agent-clock':
        this.#setClock(agent.process);
        break;
      case 'set-database-clock':
        this.#world.setDatabaseClock(this.#random.pick(CLOCK_OFFSETS_MS));
        break;
      case 'clone-agent':
        if (!faults.isQuiet) this.#clone();
        break;
      default:
        incident satisfies never;
    }
  }

  #cutMs(): number {
    const { least, most } = this.#random.chance(0.5) ? SHORT_CUT_MS : LONG_CUT_MS;
    return this.#random.between(least, most);
  }

  #setClock(process: Process | null): void {
    if (process === null) return;
    process.wallOffsetMs = this.#random.pick(CLOCK_OFFSETS_MS);
    this.trace.note(`the clock of ${process.name} is off by ${process.wallOffsetMs} ms`);
  }

  /** The node runs twice for a while. */
  #clone(): void {
    const { agents, timeline } = this.#world;
    const clone = this.#random.pick(agents).clone(`clone-${++this.#clones}`);
    clone.start();
    timeline.after(this.#random.between(1_000, LONG_CUT_MS.most), () => clone.end());
  }
}

function isMethod(one: DescMethod, other: DescMethod): boolean {
  return one.parent.typeName === other.parent.typeName && one.name === other.name;
}
