// Every node of the fleet in memory: what it may do, whether it is heard, what its last beat said. Beats
// touch only memory; what they said is written in batches, so that the beat path never waits for the
// database.

import type { Clock } from '../clock.ts';
import type { Store } from '../store/store.ts';
import { nextLiveness, type Liveness } from './liveness.ts';
import { loadFleet, recordBeats, recordLost, silentForMs, standingOf } from './node-store.ts';
import { takesWork, type Standing } from './standing.ts';

/** What an accepted beat says of its node. */
export interface Beat {
  readonly atMs: number;
  readonly grantedIntervalMs: number;
  readonly slots: number;
  readonly attemptIds: readonly string[];
  readonly agentVersion: string;
  readonly engineVersion: string;
  readonly residentMemoryBytes: bigint;
  readonly fuelSinceStart: bigint;
}

interface Member {
  standing: Standing;
  liveness: Liveness;
  /** As its last beat granted it. */
  lostPeriodMs: number;
  lastBeat: Beat | null;
  lastBeatMs: number | null;
}

/** Ends a node's leases, say. What it starts must stand in the database when its promise resolves. */
export type NodeListener = (nodeId: string) => void | Promise<void>;

/** Sees each beat that is accepted, at once. */
export type BeatListener = (nodeId: string, beat: Beat) => void;

/** Last-seen is at most so old in the database. */
const WRITE_INTERVAL_MS = 2_000;
/**
 * Our own beats stand in the database as later than they were, by what writing them took; by more than this
 * part of a lost-period only where another replica wrote.
 */
const WRITE_TOLERANCE = 0.1;
/** A loss is noticed at most so late, and by a thirtieth of the interval where beats are quick. */
const MAX_TICK_INTERVAL_MS = 500;
const TICKS_PER_INTERVAL = 30;

export interface FleetOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** The interval at which a node is beating when this replica starts. */
  readonly baseIntervalMs: number;
  /** A node is lost so many granted intervals after its last accepted beat: 4 x 15 s = 60 s. */
  readonly lostAfterIntervals: number;
  /** A failure in the background, for the log. */
  readonly onError: (doing: string, cause: unknown) => void;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #members = new Map<string, Member>();
  readonly #unwritten = new Map<string, Beat>();
  readonly #lostListeners = new Set<NodeListener>();
  readonly #revokedListeners = new Set<NodeListener>();
  readonly #beatListeners = new Set<BeatListener>();
  readonly #background = new Set<Promise<void>>();
  #stops: (() => void)[] = [];
  #liveCount = 0;

  private constructor(options: FleetOptions) {
    this.#options = options;
  }

  /**
   * Reads every node. Those that were live when the last server stopped get one full lost-period from now
   * to be heard again; nobody is lost before.
   */
  static async open(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options);
    const { store, clock, baseIntervalMs, lostAfterIntervals } = options;
    const rows = await store.read((em) => loadFleet(em));
    const start = {
      kind: 'start',
      atMs: clock.now(),
      lostPeriodMs: lostAfterIntervals * baseIntervalMs,
    } as const;
    for (const { nodeId, standing, live, lastBeatMs } of rows) {
      const before: Liveness = live ? { kind: 'live', lostAtMs: 0 } : { kind: 'lost' };
      const liveness = nextLiveness(before, start);
      if (live) fleet.#liveCount++;
      const { lostPeriodMs } = start;
      fleet.#members.set(nodeId, { standing, liveness, lostPeriodMs, lastBeat: null, lastBeatMs });
    }
    const tickIntervalMs = Math.min(MAX_TICK_INTERVAL_MS, baseIntervalMs / TICKS_PER_INTERVAL);
    fleet.#stops = [
      clock.every(tickIntervalMs, () => fleet.#tick()),
      clock.every(WRITE_INTERVAL_MS, () => fleet.#run('writing beats', () => fleet.flush())),
    ];
    return fleet;
  }

  /** How many nodes there are of each kind. */
  counts(): readonly { standing: Standing; liveness: Liveness['kind']; nodes: number }[] {
    const counts = new Map<
      string,
      { standing: Standing; liveness: Liveness['kind']; nodes: number }
    >();
    for (const { standing, liveness } of this.#members.values()) {
      const name = `${standing} ${liveness.kind}`;
      const count = counts.get(name) ?? { standing, liveness: liveness.kind, nodes: 0 };
      count.nodes++;
      counts.set(name, count);
    }
    return [...counts.values()];
  }

  /** How many nodes share the control plane's budget of beats: those that are live. */
  liveCount(): number {
    return this.#liveCount;
  }

  isLive(nodeId: string): boolean {
    return this.#members.get(nodeId)?.liveness.kind === 'live';
  }

  /** Null for an id that is no node's. */
  standingOf(nodeId: string): Standing | null {
    return this.#members.get(nodeId)?.standing ?? null;
  }

  /** Live and enrolled: neither draining nor revoked. */
  mayTakeWork(nodeId: string): boolean {
    const member = this.#members.get(nodeId);
    return member !== undefined && member.liveness.kind === 'live' && takesWork(member.standing);
  }

  /** All nodes that may take work, whichever replica they are connected to. */
  workingNodes(): readonly string[] {
    return [...this.#members.keys()].filter((nodeId) => this.mayTakeWork(nodeId));
  }

  /** The last beat that this replica accepted. */
  lastBeat(nodeId: string): Beat | null {
    return this.#members.get(nodeId)?.lastBeat ?? null;
  }

  /** Unix milliseconds, also of a beat before this replica started. */
  lastBeatMs(nodeId: string): number | null {
    return this.#members.get(nodeId)?.lastBeatMs ?? null;
  }

  /** A beat was accepted. */
  heard(nodeId: string, beat: Beat): void {
    const member = this.#members.get(nodeId);
    if (member === undefined) return;
    if (member.liveness.kind === 'lost') this.#liveCount++;
    const lostPeriodMs = this.#options.lostAfterIntervals * beat.grantedIntervalMs;
    const event = { kind: 'beat', atMs: beat.atMs, lostPeriodMs } as const;
    member.liveness = nextLiveness(member.liveness, event);
    member.lostPeriodMs = lostPeriodMs;
    member.lastBeat = beat;
    member.lastBeatMs = beat.atMs;
    this.#unwritten.set(nodeId, beat);
    for (const listener of this.#beatListeners) listener(nodeId, beat);
  }

  /** Reads what the database says of the node: another replica may have enrolled or revoked it. */
  async refresh(nodeId: string): Promise<void> {
    const standing = await this.#options.store.read((em) => standingOf(em, nodeId));
    if (standing !== null) this.standingChanged(nodeId, standing);
  }

  /** After the commit of an enrolment or a change of standing. */
  standingChanged(nodeId: string, standing: Standing): void {
    const member = this.#members.get(nodeId);
    if (member === undefined) {
      const fresh: Member = {
        standing,
        liveness: { kind: 'lost' },
        lostPeriodMs: 0,
        lastBeat: null,
        lastBeatMs: null,
      };
      this.#members.set(nodeId, fresh);
    } else {
      member.standing = standing;
    }
  }

  /** After the commit: all that the node holds under its older certificates ends now. */
  certificatesRevoked(nodeId: string): void {
    this.#run(`ending what '${nodeId}' holds`, () => settle(this.#revokedListeners, nodeId));
  }

  /** Called at each accepted beat. Must not throw, and not be slow. */
  onBeat(listener: BeatListener): () => void {
    this.#beatListeners.add(listener);
    return () => this.#beatListeners.delete(listener);
  }

  /** Called when a node is lost; again after a restart, when the listener's work failed. */
  onLost(listener: NodeListener): () => void {
    this.#lostListeners.add(listener);
    return () => this.#lostListeners.delete(listener);
  }

  /** Called when a node is revoked, or replaced by one with a new key. */
  onRevoked(listener: NodeListener): () => void {
    this.#revokedListeners.add(listener);
    return () => this.#revokedListeners.delete(listener);
  }

  /** Writes what was heard since the last time. Beats that cannot be written stay for the next. */
  async flush(): Promise<void> {
    if (this.#unwritten.size === 0) return;
    const beats = [...this.#unwritten];
    this.#unwritten.clear();
    const nowMs = this.#options.clock.now();
    try {
      await this.#options.store.transaction((em) =>
        recordBeats(
          em,
          beats.map(([nodeId, beat]) => ({ ...beat, nodeId, ageMs: nowMs - beat.atMs })),
        ),
      );
    } catch (cause) {
      for (const [nodeId, beat] of beats) {
        if (!this.#unwritten.has(nodeId)) this.#unwritten.set(nodeId, beat);
      }
      throw cause;
    }
  }

  /** Resolves when what is under way in the background is done. */
  async settled(): Promise<void> {
    await Promise.all(this.#background);
  }

  /** Stops the timers, and writes what is left. */
  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
    await this.settled();
    await this.flush();
  }

  #tick(): void {
    const tick = { kind: 'tick', atMs: this.#options.clock.now() } as const;
    for (const [nodeId, member] of this.#members) {
      const before = member.liveness;
      member.liveness = nextLiveness(before, tick);
      if (before.kind === 'live' && member.liveness.kind === 'lost') {
        this.#liveCount--;
        this.#run(`losing '${nodeId}'`, () => this.#lose(nodeId, member.lostPeriodMs));
      }
    }
  }

  /**
   * Another replica may have heard the node. The loss is written last: should the listeners' work not be
   * done, a restart does it again.
   */
  async #lose(nodeId: string, lostPeriodMs: number): Promise<void> {
    const { store, clock } = this.#options;
    const silentMs = await store.read((em) => silentForMs(em, nodeId));
    if (silentMs !== null && silentMs < lostPeriodMs * (1 - WRITE_TOLERANCE)) {
      this.#heardElsewhere(nodeId, clock.now() + lostPeriodMs - silentMs);
      return;
    }
    await settle(this.#lostListeners, nodeId);
    if (this.isLive(nodeId)) return;
    await store.transaction((em) => recordLost(em, [nodeId]));
  }

  #heardElsewhere(nodeId: string, lostAtMs: number): void {
    const member = this.#members.get(nodeId);
    if (member?.liveness.kind !== 'lost') return;
    member.liveness = { kind: 'live', lostAtMs };
    this.#liveCount++;
  }

  #run(doing: string, work: () => Promise<void>): void {
    const running: Promise<void> = work()
      .catch((cause: unknown) => this.#options.onError(doing, cause))
      .finally(() => this.#background.delete(running));
    this.#background.add(running);
  }
}

async function settle(listeners: ReadonlySet<NodeListener>, nodeId: string): Promise<void> {
  await Promise.all([...listeners].map(async (listener) => listener(nodeId)));
}
