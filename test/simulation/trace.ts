// What happened in a simulation, one line an event: digested, so that two runs can be compared, and kept as
// far as somebody wants to read it.
import { createHash } from 'node:crypto';
import type { Timeline } from './timeline.ts';

export class Trace {
  readonly #timeline: Timeline;
  readonly #hash = createHash('sha256');
  readonly #startMs: number;
  readonly #print: ((line: string) => void) | null;

  /** `print` gets each line. */
  constructor(timeline: Timeline, print: ((line: string) => void) | null) {
    this.#timeline = timeline;
    this.#startMs = timeline.nowMs;
    this.#print = print;
  }

  note(what: string): void {
    const line = `${String(this.#timeline.nowMs - this.#startMs).padStart(8)} ${what}`;
    this.#hash.update(line).update('\n');
    this.#print?.(line);
  }

  /** For a reader: not a part of the digest, since it may differ from run to run. */
  comment(what: string): void {
    this.#print?.(`         . ${what}`);
  }

  /** Of all lines so far, in hex. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}
