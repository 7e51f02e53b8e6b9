// The sandbox of a simulated agent: guests that take virtual time and then end as their input asks. What
// a guest does is a function of module, input and seed, as the profile promises; how long it takes, and
// whether its sandbox or machine fails it, is the node's chance.
import { createHash } from 'node:crypto';
import type { GuestOutcome, GuestSpec } from '../../sandbox/sandbox.ts';
import type { Process } from './process.ts';
import type { SeededRandom } from './random.ts';

export interface GuestHabits {
  /** How many guests the sandbox dies under. */
  faultShare: number;
  /** How many guests never end by themselves. */
  hangingShare: number;
  longestMs: number;
}

/** Two nodes that say the first are believed that it is the guest's doing; the second is theirs. */
const FAULTS = ['SANDBOX_DIED', 'NO_MEMORY'];
const STOP_MS = 50;
const MOST_OUTPUT_BYTES = 2_000;
const MOST_LOG_BYTES = 300;

/** What a job's guest gives: 32 bytes of digest say all of it. */
export function guestResult(
  spec: Pick<GuestSpec, 'module' | 'input' | 'seed' | 'grants'>,
): GuestOutcome {
  const hash = createHash('sha256');
  const bytes = hash.update(spec.module).update(spec.input).update(spec.seed).digest();
  const dice = bytes[0]! % 10;
  const fuel = BigInt(bytes.readUInt32LE(4) % 1_000_000);
  const logs = spec.grants.debugLogs
    ? Buffer.alloc(bytes.readUInt16LE(10) % MOST_LOG_BYTES, bytes.subarray(8))
    : new Uint8Array();
  const base = { fuel, logs, sleptNs: 0n, peakMemoryPages: 1 };
  const none = { ...base, output: new Uint8Array(), stopStateDigest: null };
  if (dice === 0) return { ...none, end: 'TRAPPED', detail: 'UNREACHABLE' };
  const output = Buffer.alloc(bytes.readUInt16LE(8) % MOST_OUTPUT_BYTES, bytes);
  if (dice === 1) return { ...none, end: 'GUEST_FAILED', detail: 'EXIT_CODE_7', output };
  return { ...none, end: 'SUCCEEDED', detail: '', output };
}

export class SimulatedPool {
  readonly #process: Process;
  readonly #random: SeededRandom;
  readonly #habits: GuestHabits;

  constructor(process: Process, random: SeededRandom, habits: GuestHabits) {
    this.#process = process;
    this.#random = random;
    this.#habits = habits;
  }

  run(
    _isolationKey: string,
    spec: GuestSpec,
    { signal, onLogs }: { signal?: AbortSignal; onLogs?: (bytes: Uint8Array) => void } = {},
  ): Promise<GuestOutcome> {
    const { clock } = this.#process;
    const random = this.#random;
    const { faultShare, hangingShare, longestMs } = this.#habits;
    const hangs = random.chance(hangingShare);
    const failure = random.chance(faultShare) ? random.pick(FAULTS) : null;
    const durationMs = random.chance(0.3) ? random.between(1, 50) : random.between(1, longestMs);
    return new Promise((resolve) => {
      const result = guestResult(spec);
      // What was shown of the logs counts, however the run ends.
      let shown: Uint8Array = new Uint8Array();
      const callOffLogs = clock.after(Math.floor(durationMs / 2), () => {
        shown = result.logs.subarray(0, Math.ceil(result.logs.length / 2));
        if (shown.length > 0) onLogs?.(shown);
      });
      const end = (): void =>
        resolve(failure === null ? result : { ...fault(failure), logs: shown });
      const callOff = hangs ? () => {} : clock.after(durationMs, end);
      const stop = (): void => {
        callOff();
        callOffLogs();
        clock.after(random.between(0, STOP_MS), () => resolve({ ...stopped(spec), logs: shown }));
      };
      if (signal?.aborted === true) stop();
      else signal?.addEventListener('abort', stop, { once: true });
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function fault(detail: string): GuestOutcome {
  return { ...NOTHING, end: 'NODE_FAULT', detail };
}

function stopped({ seed }: GuestSpec): GuestOutcome {
  return { ...NOTHING, end: 'CANCELLED', detail: '', fuel: 1_000n, stopStateDigest: seed };
}

const NOTHING = {
  fuel: 0n,
  output: new Uint8Array(),
  logs: new Uint8Array(),
  stopStateDigest: null,
  sleptNs: 0n,
  peakMemoryPages: 0,
} as const;
