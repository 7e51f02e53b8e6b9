// What is asked of a sandbox, and what it answers: plain data, the same on both sides of the pipe.

/** How a module is started: `_start` of a WASI preview 1 command, or `run`. */
export type GuestEntry = 'START' | 'RUN';

export interface GuestLimits {
  /** Fuel, 1 to 2^62. */
  readonly fuel: bigint;
  /** Deadline in epochs of 10 ms from the guest's entry, 1 to {@link MAX_EPOCHS}. */
  readonly epochs: number;
  /** Memory, rounded down to pages of 64 KiB. */
  readonly memoryBytes: number;
  readonly outputBytes: number;
  readonly logBytes: number;
}

export interface GuestSpec {
  /** Wasm bytes, at most {@link MAX_MODULE_BYTES}. */
  readonly module: Uint8Array;
  /** SHA-256 of the module, from a caller that has just checked it; saves computing it again. */
  readonly moduleDigest?: Uint8Array;
  readonly entry: GuestEntry;
  /** At most {@link MAX_INPUT_BYTES}. */
  readonly input: Uint8Array;
  readonly grants: {
    /** What the guest writes to stdout is its result. */
    readonly stdoutAsResult: boolean;
    /** What the guest writes to stdout and stderr is kept, up to `logBytes`, for its owner. */
    readonly debugLogs: boolean;
  };
  readonly limits: GuestLimits;
  /** 32 bytes that the guest's random bytes are drawn from. */
  readonly seed: Uint8Array;
  /** Also digest the memory at OUT_OF_FUEL: what the replay of a stopped run compares. */
  readonly stopStateAtOutOfFuel?: boolean;
}

export const GUEST_ENDS = [
  'SUCCEEDED',
  'GUEST_FAILED',
  'OUT_OF_FUEL',
  'OUTPUT_TOO_LARGE',
  'TRAPPED',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'NODE_FAULT',
  'INVALID_MODULE',
] as const;

/**
 * - SUCCEEDED: returned, or exited with 0.
 * - GUEST_FAILED: exited with another code; detail `EXIT_CODE_n`.
 * - OUT_OF_FUEL: used up its fuel, all of which is counted.
 * - OUTPUT_TOO_LARGE: gave more than `outputBytes`.
 * - TRAPPED: detail names the trap, such as `INTEGER_DIVIDE_BY_ZERO`.
 * - DEADLINE_EXCEEDED, CANCELLED: stopped, with fuel and stop state digest at the stop; or, with detail
 *   `KILLED`, ended from outside without either.
 * - NODE_FAULT: this machine failed the guest; detail `SANDBOX_DIED`, `TOO_SLOW` or another reason.
 * - INVALID_MODULE: never ran; detail says why, with a byte offset where there is one.
 */
export type GuestEnd = (typeof GUEST_ENDS)[number];

export interface GuestOutcome {
  readonly end: GuestEnd;
  readonly detail: string;
  /** Fuel consumed, at most the limit; 0 where no count survived. */
  readonly fuel: bigint;
  /** The result; empty unless SUCCEEDED or GUEST_FAILED. */
  readonly output: Uint8Array;
  /** What debug mode captured, at most `logBytes`; the rest was dropped. */
  readonly logs: Uint8Array;
  /** 32 bytes: at a stop, and at OUT_OF_FUEL when asked for. */
  readonly stopStateDigest: Uint8Array | null;
  /** Nanoseconds of sleep that the guest asked for, counted as it asks. */
  readonly sleptNs: bigint;
  /** Pages of 64 KiB; memory never shrinks, so also its size at the end. */
  readonly peakMemoryPages: number;
}

/** 16 MiB, as metering reads: Go programs take 2 to 10. */
export const MAX_MODULE_BYTES = 16 * 1024 * 1024;
/** 64 MiB: what crosses the pipe in one frame and is held twice on its way. */
export const MAX_INPUT_BYTES = 64 * 1024 * 1024;
/** 64 MiB, for the same reason. */
export const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** 1 MiB: logs are for a person to read. */
export const MAX_LOG_BYTES = 1024 * 1024;
/** 24 hours in epochs: a longer run is a mistake, and timers of Node end at 24.8 days. */
export const MAX_EPOCHS = 8_640_000;
/** 4 GiB, all that 32-bit addresses reach. */
export const MAX_MEMORY_BYTES = 4 * 1024 * 1024 * 1024;
export const SEED_BYTES = 32;
const MAX_FUEL = 2n ** 62n;

/** An outcome in which nothing of the guest survived. */
export function endedWithout(end: GuestEnd, detail: string): GuestOutcome {
  return {
    end,
    detail,
    fuel: 0n,
    output: new Uint8Array(0),
    logs: new Uint8Array(0),
    stopStateDigest: null,
    sleptNs: 0n,
    peakMemoryPages: 0,
  };
}

/** Throws a RangeError that names the first thing of `spec` that no sandbox accepts. */
export function checkSpec(spec: GuestSpec): void {
  const { limits } = spec;
  const within: readonly [what: string, value: number, least: number, most: number][] = [
    ['module bytes', spec.module.byteLength, 0, MAX_MODULE_BYTES],
    ['input bytes', spec.input.byteLength, 0, MAX_INPUT_BYTES],
    ['seed bytes', spec.seed.byteLength, SEED_BYTES, SEED_BYTES],
    ['module digest bytes', spec.moduleDigest?.byteLength ?? 32, 32, 32],
    ['epochs', limits.epochs, 1, MAX_EPOCHS],
    ['memoryBytes', limits.memoryBytes, 0, MAX_MEMORY_BYTES],
    ['outputBytes', limits.outputBytes, 0, MAX_OUTPUT_BYTES],
    ['logBytes', limits.logBytes, 0, MAX_LOG_BYTES],
  ];
  for (const [what, value, least, most] of within) {
    if (!Number.isSafeInteger(value) || value < least || value > most) {
      throw new RangeError(`Cannot run a guest with ${what} ${value}: give ${least} to ${most}`);
    }
  }
  if (limits.fuel < 1n || limits.fuel > MAX_FUEL) {
    throw new RangeError(`Cannot run a guest with fuel ${limits.fuel}: give 1 to ${MAX_FUEL}`);
  }
}
