// Repeating a call that is safe to repeat, until a control plane is there again.
import { ConnectError } from '@connectrpc/connect';

import { ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';

import { systemClock, type Clock } from '../agent/clock.ts';
import { isCut } from './replicas.ts';

/**
 * A network or a database may be away for 30 s, and a control plane that starts again needs some time of its
 * own.
 */
const PATIENCE_MS = 60_000;
const LEAST_DELAY_MS = 50;
const MOST_DELAY_MS = 2_000;
/** A refusal that asks for a longer wait than this is asked again sooner. */
const MOST_ASKED_DELAY_MS = 10_000;

/** Refusals of which the contract says to try again. */
const TRY_AGAIN: ReadonlySet<string> = new Set([
  'TRANSACTION_CONFLICT',
  'RATE_LIMITED',
  'CHECKER_BUSY',
]);

/** Whether the same call may succeed later. */
export function isPassing(error: unknown): boolean {
  if (isCut(error)) return true;
  const info = error instanceof ConnectError ? error.findDetails(ErrorInfoSchema)[0] : undefined;
  return info !== undefined && TRY_AGAIN.has(info.reason);
}

export interface RetryOptions {
  readonly clock: Clock;
  /** From the first failure in a row. */
  readonly patienceMs: number;
  readonly mayBeQuiet: boolean;
}

/** The tries of one piece of work: how long to wait for the next, and when it was enough. */
export class Retries {
  readonly #clock: Clock;
  readonly #patienceMs: number;
  readonly #mayBeQuiet: boolean;
  #failures = 0;
  #firstFailedMs = 0;
  #triedMs: number;

  /** A stream that `mayBeQuiet` was up where it lasted, though nothing came. */
  constructor({
    clock = systemClock,
    patienceMs = PATIENCE_MS,
    mayBeQuiet = false,
  }: Partial<RetryOptions> = {}) {
    this.#clock = clock;
    this.#patienceMs = patienceMs;
    this.#mayBeQuiet = mayBeQuiet;
    this.#triedMs = clock.now();
  }

  /** There was progress. */
  reset(): void {
    this.#failures = 0;
  }

  /** Waits, and answers whether to try again after this failure. */
  async again(error: unknown, mayPass = isPassing): Promise<boolean> {
    if (!mayPass(error)) return false;
    const now = this.#clock.now();
    if (this.#mayBeQuiet && now - this.#triedMs >= this.#patienceMs) this.reset();
    if (this.#failures === 0) this.#firstFailedMs = now;
    if (now - this.#firstFailedMs >= this.#patienceMs) return false;
    const delayMs = Math.min(LEAST_DELAY_MS * 2 ** this.#failures, MOST_DELAY_MS);
    this.#failures++;
    const waitMs = Math.max(delayMs, askedDelayMs(error));
    await new Promise<void>((resolve) => this.#clock.after(waitMs, resolve));
    this.#triedMs = this.#clock.now();
    return true;
  }
}

/** What a refusal asks for (`retry_after_ms`); 0 where it does not. */
function askedDelayMs(error: unknown): number {
  if (!(error instanceof ConnectError)) return 0;
  const asked = Number(error.findDetails(ErrorInfoSchema)[0]?.metadata['retry_after_ms']);
  return asked > 0 ? Math.min(asked, MOST_ASKED_DELAY_MS) : 0;
}

/** Makes the call, and makes it again while that may help. Throws the last failure. */
export async function untilThere<T>(
  call: () => Promise<T>,
  options: Partial<RetryOptions> = {},
): Promise<T> {
  const retries = new Retries(options);
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(await retries.again(error))) throw error;
    }
  }
}
