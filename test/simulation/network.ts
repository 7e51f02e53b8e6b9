// What lies between processes: delays, and links that carry nothing for a while. As over TCP, what is sent
// into a link that is down arrives when it is up again, unless somebody gave up before.
import type { SeededRandom } from './random.ts';
import type { Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';

/** Most messages take so long at most. */
const USUAL_DELAY_MS = 4;
const LONGEST_DELAY_MS = 1_500;

export class Network {
  /** How many messages take up to LONGEST_DELAY_MS. */
  slowShare = 0;
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #trace: Trace;
  /** By the names of the two ends. */
  readonly #downUntilMs = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  constructor(parts: { timeline: Timeline; random: SeededRandom; trace: Trace }) {
    this.#timeline = parts.timeline;
    this.#random = parts.random;
    this.#trace = parts.trace;
  }

  /** Nothing passes between the two for so long. */
  cutLink(one: string, other: string, forMs: number): void {
    this.#trace.note(`no link between ${one} and ${other} for ${forMs} ms`);
    this.#downUntilMs.set(linkName(one, other), this.#timeline.nowMs + forMs);
    for (const listener of this.#listeners) listener();
  }

  /** Calls the listener when a link goes down, until the returned function is called. */
  onCut(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** All links are up. What was sent before arrives when it would have. */
  heal(): void {
    this.#downUntilMs.clear();
    this.slowShare = 0;
  }

  /** How long the link is down yet; 0 where it is up. */
  downForMs(one: string, other: string): number {
    const untilMs = this.#downUntilMs.get(linkName(one, other)) ?? 0;
    return Math.max(0, untilMs - this.#timeline.nowMs);
  }

  /** How long a message takes that is sent now, also through a link that is down. */
  delayMs(from: string, to: string): number {
    const random = this.#random;
    const most = random.chance(this.slowShare) ? LONGEST_DELAY_MS : USUAL_DELAY_MS;
    return this.downForMs(from, to) + random.between(0, most);
  }
}

function linkName(one: string, other: string): string {
  return [one, other].toSorted().join('~');
}
