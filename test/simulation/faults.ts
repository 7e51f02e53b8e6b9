// What goes wrong in a simulation, how often, and where: all drawn from its seed. Each seed has its own
// mixture, since faults that come alone find what a storm of all of them hides (swarm testing).
import type { Message } from '@bufbuild/protobuf';
import type { CommitFaults } from './simulated-store.ts';
import type { Process } from './process.ts';
import type { SeededRandom } from './random.ts';

/** Shares of all commits, messages, journal writes and announcements. */
export interface FaultShares {
  readonly killAtCommit: number;
  readonly loseConnectionAtCommit: number;
  readonly killAtMessage: number;
  readonly killAtWrite: number;
  readonly lostAnnouncements: number;
  readonly slowMessages: number;
  readonly cutConnections: number;
  readonly lostAcknowledgements: number;
  readonly tamperedBeats: number;
  readonly replayedBeats: number;
  readonly repeatedCompletes: number;
  readonly guestFaults: number;
  readonly hangingGuests: number;
}

/** What happens to a process or a link now and then; how many of each in a run. */
export const INCIDENTS = [
  'kill-replica',
  'kill-agent',
  'switch-off-agent',
  'stop-replica',
  'stop-agent',
  'kill-all-replicas',
  'pause-replica',
  'pause-agent',
  'cut-agent-link',
  'cut-off-agent',
  'cut-client-link',
  'cut-database-link',
  'cut-bus-link',
  'cut-redis-link',
  'forget-nonces',
  'set-replica-clock',
  'set-agent-clock',
  'set-database-clock',
  'clone-agent',
] as const;
export type Incident = (typeof INCIDENTS)[number];

export interface FaultPlan {
  readonly shares: FaultShares;
  readonly incidents: readonly Incident[];
  readonly betweenMs: number;
}

export function planFaults(random: SeededRandom): FaultPlan {
  const some = (most: number) => (random.chance(0.5) ? most * random.fraction() : 0);
  return {
    shares: {
      killAtCommit: some(0.02),
      loseConnectionAtCommit: some(0.03),
      killAtMessage: some(0.006),
      killAtWrite: some(0.1),
      lostAnnouncements: some(1),
      slowMessages: some(0.3),
      cutConnections: some(0.01),
      lostAcknowledgements: some(0.4),
      tamperedBeats: some(0.1),
      replayedBeats: some(0.1),
      repeatedCompletes: some(0.5),
      guestFaults: some(0.6),
      hangingGuests: some(0.05),
    },
    incidents: INCIDENTS.filter(() => random.chance(0.4)),
    betweenMs: random.between(1_000, 10_000),
  };
}

/** Draws what happens at each commit, message and write. */
export class Faults implements CommitFaults {
  readonly plan: FaultPlan;
  readonly #random: SeededRandom;
  #isQuiet = false;

  constructor(random: SeededRandom) {
    this.plan = planFaults(random.fork('plan'));
    this.#random = random;
  }

  /** Nothing goes wrong any more. */
  quieten(): void {
    this.#isQuiet = true;
  }

  get isQuiet(): boolean {
    return this.#isQuiet;
  }

  chance(share: keyof FaultShares): boolean {
    return !this.#isQuiet && this.#random.chance(this.plan.shares[share]);
  }

  fateOf(): ReturnType<CommitFaults['fateOf']> {
    if (this.chance('killAtCommit')) {
      return this.#random.chance(0.5) ? 'killed-before' : 'killed-after';
    }
    if (this.chance('loseConnectionAtCommit')) {
      return this.#random.chance(0.5) ? 'lost-before' : 'lost-after';
    }
    return 'done';
  }

  /** Before and after a message of a replica or an agent. */
  atMessage(process: Process): void {
    if (!process.name.startsWith('client') && this.chance('killAtMessage')) {
      process.kill('at a message');
    }
  }

  atWrite(process: Process): void {
    if (this.chance('killAtWrite')) process.kill('at a write of its journal');
  }

  /** A beat whose MAC does not hold. */
  tamper<M extends Message & { mac: Uint8Array }>(beat: M): M {
    const mac = Uint8Array.from(beat.mac);
    mac[0] = (mac[0] ?? 0) ^ 1;
    return { ...beat, mac };
  }
}
