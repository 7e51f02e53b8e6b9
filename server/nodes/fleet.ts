// Every node of the fleet: what it may do, whether it is heard, what its last beat said. Beats touch only
// memory. The truth is the database's, which all replicas share: what we hear goes there in batches, what
// others wrote comes from there by announcements and every few seconds, and who is lost is judged there.

import type { Clock } from '../clock.ts';
import type { Announcements } from '../jobs/announcements.ts';
import { GroupCommit } from '../store/group-commit.ts';
import type { Store } from '../store/store.ts';
import { Background } from './background.ts';
import type { Beat } from './beat.ts';
import { BeatWriter } from './beat-writer.ts';
import { FleetReader } from './fleet-reader.ts';
import type { LivenessTerms, SilentNode } from './liveness.ts';
import {
  claimStreams,
  readNodes,
  recordLost,
  type FleetRow,
  type StreamClaim,
} from './liveness-store.ts';
import { judgeFleet, Losses } from './losses.ts';
import { Members, type NodeCount } from './members.ts';
import type { NewestStream } from './newest-stream.ts';
import { NodeAnnouncements } from './node-announcements.ts';
import { takesWork, type Standing } from './standing.ts';

/** Ends a node's leases, say. What it starts must stand in the database when its promise resolves. */
export type NodeListener = (nodeId: string) => void | Promise<void>;

/** Sees each beat that is accepted, at once. */
export type BeatListener = (nodeId: string, beat: Beat) => void;

/**
 * What we hear stands in the database so soon, what others wrote is known here, and a loss is noticed: 2 s
 * of 60 s, and sooner where a lost-period is shorter.
 */
const MAX_SYNC_INTERVAL_MS = 2_000;
const SYNCS_PER_PERIOD = 30;

export interface FleetOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly announcements: Announcements;
  /** The interval at which nodes of a small fleet beat. */
  readonly baseIntervalMs: number;
  /** A node is lost so many granted intervals after its last accepted beat: 4 x 15 s = 60 s. */
  readonly lostAfterIntervals: number;
  /** For how long this replica could accept nobody's beat, by no fault of the nodes. */
  readonly deafForMs?: () => number;
  /** A failure in the background, for the log. */
  readonly onError: (doing: string, cause: unknown) => void;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #terms: LivenessTerms;
  /** Half of a lost-period: what is left is for the node's way to another replica. */
  readonly #maxUnwrittenMs: number;
  readonly #members = new Members();
  readonly #writer: BeatWriter;
  readonly #reader: FleetReader;
  readonly #claims: GroupCommit<StreamClaim, FleetRow | null>;
  readonly #losses: Losses;
  readonly #background: Background;
  readonly #news: NodeAnnouncements;
  readonly #lostListeners = new Set<NodeListener>();
  readonly #revokedListeners = new Set<NodeListener>();
  readonly #beatListeners = new Set<BeatListener>();
  #stops: (() => void)[] = [];

  private constructor(options: FleetOptions) {
    const { store, clock, baseIntervalMs, onError } = options;
    this.#options = options;
    const lostPeriodMs = this.lostPeriodMs(baseIntervalMs);
    this.#terms = {
      lostPeriodMs,
      writtenWithinMs: Math.min(MAX_SYNC_INTERVAL_MS, lostPeriodMs / SYNCS_PER_PERIOD),
    };
    this.#maxUnwrittenMs = lostPeriodMs / 2;
    this.#writer = new BeatWriter({
      store,
      clock,
      lostPeriodMs: (grantedIntervalMs) => this.lostPeriodMs(grantedIntervalMs),
      maxAgeMs: this.#maxUnwrittenMs,
    });
    this.#reader = new FleetReader({ store, clock, onError });
    this.#claims = new GroupCommit((claims) => store.transaction((em) => claimStreams(em, claims)));
    this.#losses = new Losses((node) => this.#lose(node), onError);
    this.#background = new Background(onError);
    this.#news = new NodeAnnouncements(options.announcements, () => {
      this.#background.alone('reading nodes that changed', () => this.#readNews());
    });
  }

  /** Reads every node, and judges the fleet once, so that a grace that is due stands before we serve. */
  static async open(options: FleetOptions): Promise<Fleet> {
    const { store, clock } = options;
    const fleet = new Fleet(options);
    await fleet.#read();
    // Who is lost by now is left to the first judgement that has listeners.
    await judgeFleet(store, fleet.#terms);
    const background = fleet.#background;
    fleet.#stops = [
      clock.every(fleet.#terms.writtenWithinMs, () => {
        background.alone('judging who is lost', () => fleet.#judge());
        background.alone('writing beats', () => fleet.flush());
        background.alone('reading the fleet', () => fleet.#read());
      }),
    ];
    return fleet;
  }

  /** How many nodes there are of each kind. */
  counts(): readonly NodeCount[] {
    return this.#members.counts();
  }

  /** How many nodes share the control plane's budget of beats: those of all replicas that are live. */
  liveCount(): number {
    return this.#members.liveCount;
  }

  isLive(nodeId: string): boolean {
    return this.#members.get(nodeId)?.isLive === true;
  }

  /** Null for an id that is no node's. */
  standingOf(nodeId: string): Standing | null {
    return this.#members.get(nodeId)?.standing ?? null;
  }

  /** Live and enrolled: neither cordoned, draining nor revoked. */
  mayTakeWork(nodeId: string): boolean {
    const member = this.#members.get(nodeId);
    if (member === undefined || !member.isLive) return false;
    return takesWork(member.standing) && !this.#losses.has(nodeId);
  }

  /** All nodes that may take work, whichever replica they are connected to. */
  workingNodes(): readonly string[] {
    return this.#members.ids().filter((nodeId) => this.mayTakeWork(nodeId));
  }

  /** How long after a beat that was granted this interval its node is lost, in milliseconds. */
  lostPeriodMs(grantedIntervalMs: number): number {
    return this.#options.lostAfterIntervals * grantedIntervalMs;
  }

  /** The last beat that this replica accepted. */
  lastBeat(nodeId: string): Beat | null {
    return this.#members.get(nodeId)?.lastBeat ?? null;
  }

  /** The node's newest heartbeat stream. */
  newestStream(nodeId: string): NewestStream | null {
    return this.#members.get(nodeId)?.newest ?? null;
  }

  /**
   * Whether beats may be accepted: false when the database took none of ours for half of a lost-period, so
   * that nodes go to a replica that can write before the others lose them.
   */
  canRecord(nowMs: number): boolean {
    return this.#writer.unwrittenForMs(nowMs) < this.#maxUnwrittenMs;
  }

  /** A beat was accepted. */
  heard(nodeId: string, beat: Beat): void {
    if (!this.#members.heard(nodeId, beat)) return;
    this.#writer.add(nodeId, beat);
    for (const listener of this.#beatListeners) listener(nodeId, beat);
  }

  /**
   * Before the first beat of a stream is accepted: makes it the node's newest, here and on all replicas.
   * False where a younger stream is the newest. Throws when the database does not answer.
   */
  async claimStream(
    nodeId: string,
    claim: {
      readonly stream: NewestStream;
      /** `newestStream` when the stream was opened. */
      readonly seen: NewestStream | null;
      readonly grantedIntervalMs: number;
    },
  ): Promise<boolean> {
    const lostPeriodMs = this.lostPeriodMs(claim.grantedIntervalMs);
    const row = await this.#claims.add({ ...claim, nodeId, lostPeriodMs });
    if (row === null) {
      await this.refresh(nodeId);
      return false;
    }
    this.#apply({ ...row, newest: claim.stream });
    this.#news.watch(nodeId);
    this.#news.announce(nodeId);
    return true;
  }

  /** Another replica may have enrolled the node a moment ago, also again after a revocation. */
  async know(nodeId: string): Promise<void> {
    const standing = this.standingOf(nodeId);
    if (standing === null || standing === 'revoked') await this.refresh(nodeId);
  }

  /** Reads what the database says of the node. */
  async refresh(nodeId: string): Promise<void> {
    const rows = await this.#options.store.read((em) => readNodes(em, [nodeId]));
    for (const row of rows) this.#apply(row);
  }

  /** After the commit of an enrolment or a change of standing. */
  standingChanged(nodeId: string, standing: Standing): void {
    this.#members.setStanding(nodeId, standing);
    this.#news.announce(nodeId);
  }

  /** After the commit: all that the node holds under its older certificates ends now. */
  certificatesRevoked(nodeId: string): void {
    this.#background.run(`ending what '${nodeId}' holds`, () =>
      settle(this.#revokedListeners, nodeId),
    );
  }

  /** Called at each accepted beat. Must not throw, and not be slow. */
  onBeat(listener: BeatListener): () => void {
    this.#beatListeners.add(listener);
    return () => this.#beatListeners.delete(listener);
  }

  /** Called when this replica finds a node lost; again when the listener's work failed. */
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
    for (const row of await this.#writer.flush()) this.#apply(row);
  }

  /** Resolves when what is under way in the background is done. */
  settled(): Promise<void> {
    return this.#background.settled();
  }

  /** Stops the timers, and writes what is left. */
  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
    this.#news.close();
    await this.settled();
    await this.flush();
  }

  async #read(): Promise<void> {
    for (const row of await this.#reader.read()) this.#apply(row);
  }

  async #readNews(): Promise<void> {
    for (;;) {
      const nodeIds = this.#news.take();
      if (nodeIds.length === 0) return;
      const rows = await this.#options.store.read((em) => readNodes(em, nodeIds));
      for (const row of rows) this.#apply(row);
    }
  }

  /** What the database says of a node, unless we know something newer. */
  #apply(row: FleetRow): void {
    this.#members.apply(row, { isHeard: this.#writer.has(row.nodeId) });
  }

  async #judge(): Promise<void> {
    const { store, deafForMs } = this.#options;
    const lost = await judgeFleet(store, this.#terms, deafForMs?.());
    if (lost.length === 0) return;
    this.#losses.add(lost);
    // Judging goes on meanwhile: a fleet that nobody judges gets a grace.
    this.#background.alone('losing nodes', () => this.#losses.work());
  }

  /** The loss is written last: should the listeners' work not be done, the node is due again. */
  async #lose(node: SilentNode): Promise<void> {
    const { nodeId } = node;
    if (this.#writer.has(nodeId)) return;
    await settle(this.#lostListeners, nodeId);
    if (this.#writer.has(nodeId)) return;
    await this.#options.store.transaction((em) => recordLost(em, node));
    await this.refresh(nodeId);
  }
}

async function settle(listeners: ReadonlySet<NodeListener>, nodeId: string): Promise<void> {
  await Promise.all([...listeners].map(async (listener) => listener(nodeId)));
}
