// The memory that a sandbox's two threads share: the control thread sets the stop word, the guest's
// thread reads it at refills and tells how much fuel its guest burnt and how long it slept.
import { StopWord } from './stop.ts';

const BYTES = 24;
const STOP_INDEX = 0;
const SLEPT_INDEX = 1;
const FUEL_INDEX = 2;

export class SharedWords {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #longs: BigInt64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#longs = new BigInt64Array(buffer);
  }

  /** Before a run; neither thread works on one. */
  reset(): void {
    Atomics.store(this.#words, STOP_INDEX, StopWord.NONE);
    Atomics.store(this.#longs, SLEPT_INDEX, 0n);
    Atomics.store(this.#longs, FUEL_INDEX, 0n);
  }

  /** Asks for a stop and answers whether this was the first time. */
  askStop(word: StopWord): boolean {
    const before = Atomics.compareExchange(this.#words, STOP_INDEX, StopWord.NONE, word);
    return before === StopWord.NONE;
  }

  get stopWord(): number {
    return Atomics.load(this.#words, STOP_INDEX);
  }

  /** Nanoseconds, unsigned 64 bits. */
  get sleptNs(): bigint {
    return BigInt.asUintN(64, Atomics.load(this.#longs, SLEPT_INDEX));
  }

  /** As of the last refill. */
  get fuel(): bigint {
    return BigInt.asUintN(64, Atomics.load(this.#longs, FUEL_INDEX));
  }

  setFuel(fuel: bigint): void {
    Atomics.store(this.#longs, FUEL_INDEX, BigInt.asIntN(64, fuel));
  }

  setSleptNs(sleptNs: bigint): void {
    Atomics.store(this.#longs, SLEPT_INDEX, BigInt.asIntN(64, sleptNs));
  }
}
