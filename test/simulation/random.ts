// All chance of a simulation follows from its seed. Each actor draws from a stream of its own, so that what
// one does more or less often does not move the others.
import { createHash } from 'node:crypto';

const TWO_TO_32 = 4_294_967_296;

/** sfc32 (Chris Doty-Humphrey, PractRand): small, quick, and good enough to play dice with. */
export class SeededRandom {
  readonly #name: string;
  readonly #state: Uint32Array;

  private constructor(name: string) {
    this.#name = name;
    const hash = createHash('sha256').update(name).digest();
    this.#state = new Uint32Array([0, 4, 8, 12].map((at) => hash.readUInt32LE(at)));
  }

  static of(seed: number): SeededRandom {
    return new SeededRandom(String(seed));
  }

  /** Another stream, which depends on the seed and the name alone. */
  fork(name: string): SeededRandom {
    return new SeededRandom(`${this.#name}/${name}`);
  }

  /** From 0 to below 1. */
  readonly fraction = (): number => this.#next() / TWO_TO_32;

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.fraction() * items.length)];
    if (item === undefined) throw new RangeError('picking one of no items');
    return item;
  }

  readonly bytes = (count: number): Uint8Array => {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; at++) bytes[at] = this.#next() & 0xff;
    return bytes;
  };

  #next(): number {
    const [a = 0, b = 0, c = 0, count = 0] = this.#state;
    const sum = (a + b + count) >>> 0;
    this.#state[3] = count + 1;
    this.#state[0] = b ^ (b >>> 9);
    this.#state[1] = (c + (c << 3)) >>> 0;
    this.#state[2] = (((c << 21) | (c >>> 11)) + sum) >>> 0;
    return sum;
  }
}
