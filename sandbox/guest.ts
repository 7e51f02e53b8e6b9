// One guest as its host functions see it: the whole world that it has, made new for every run.
import type { BoundedBytes } from './bounded-bytes.ts';
import type { GuestClock } from './wasi/guest-clock.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { RandomStream } from './wasi/random-stream.ts';

export interface Guest {
  readonly memory: GuestMemory;
  readonly fuel: {
    /** Adds to the counter, then CHECKs it; throws what ends the guest. */
    charge(fuel: number): void;
  };
  readonly clock: GuestClock;
  readonly random: RandomStream;
  readonly input: Uint8Array;
  /** Bytes of the input that were read through stdin. */
  stdinOffset: number;
  /** The standard streams that the guest has not closed. */
  readonly openDescriptors: Set<number>;
  /** The result; beyond its bound the guest ends. */
  readonly output: BoundedBytes;
  /** What was written to stdout and stderr in debug mode; beyond its bound it is cut. */
  readonly logs: Pick<BoundedBytes, 'append' | 'take'>;
  readonly grants: {
    readonly stdoutAsResult: boolean;
    readonly debugLogs: boolean;
  };
}
