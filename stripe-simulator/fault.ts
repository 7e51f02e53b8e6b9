// Faults on demand, each hitting an exact number of requests: what a network and a service do to a caller
// sooner or later, at the moment a test wants it.

export type FaultKind =
  /** Answers 500 and does nothing. */
  | 'down'
  /** Cuts the connection and does nothing. */
  | 'reset'
  /** Does the work, then cuts the connection: the caller cannot know. */
  | 'answer-lost'
  /** Does the work and answers late. */
  | 'slow';

export interface Fault {
  readonly kind: FaultKind;
  /** Hits only requests whose path starts so; `/` hits all but the control's own. */
  readonly path: string;
  /** How many requests it hits before it goes. */
  readonly times: number;
  /** For `slow`. */
  readonly delayMs: number;
  /** The request's idempotency key is not honoured: a caller that repeats it is answered anew. */
  readonly ignoreIdempotencyKey: boolean;
}

export const MAX_FAULT_TIMES = 1_000_000;
/** A minute: more than any caller of ours waits. */
export const MAX_FAULT_DELAY_MS = 60_000;
const KINDS: readonly string[] = ['down', 'reset', 'answer-lost', 'slow'];

/** The faults that wait for their request. */
export class Faults {
  #waiting: Fault[] = [];
  #whenSpent: (() => void)[] = [];

  set(fault: Fault): void {
    this.#waiting.push(fault);
  }

  clear(): void {
    this.#waiting = [];
    this.#tellIfSpent();
  }

  /** Resolves when no fault waits: the last of them has hit its request. */
  spent(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenSpent.push(resolve);
      this.#tellIfSpent();
    });
  }

  /** The fault that hits a request of this path, counted as spent. */
  take(path: string): Fault | null {
    const index = this.#waiting.findIndex((fault) => path.startsWith(fault.path));
    const fault = this.#waiting[index];
    if (fault === undefined) return null;
    if (fault.times > 1) this.#waiting[index] = { ...fault, times: fault.times - 1 };
    else this.#waiting.splice(index, 1);
    this.#tellIfSpent();
    return fault;
  }

  #tellIfSpent(): void {
    if (this.#waiting.length > 0) return;
    for (const tell of this.#whenSpent.splice(0)) tell();
  }
}

/** Reads a fault from JSON; a text says what is wrong with it. */
export function readFault(json: Readonly<Record<string, unknown>>): Fault | string {
  const {
    kind,
    path = '/',
    times = 1,
    delayMs = 0,
    ignoreIdempotencyKey = false,
  } = json as Record<keyof Fault, unknown>;
  if (typeof kind !== 'string' || !KINDS.includes(kind)) {
    return `kind must be one of ${KINDS.join(', ')}`;
  }
  if (typeof path !== 'string' || !path.startsWith('/')) return 'path must start with /';
  if (!isCount(times, MAX_FAULT_TIMES) || times === 0) return 'times must be a whole number from 1';
  if (!isCount(delayMs, MAX_FAULT_DELAY_MS)) return `delayMs must be 0 to ${MAX_FAULT_DELAY_MS}`;
  if (typeof ignoreIdempotencyKey !== 'boolean')
    return 'ignoreIdempotencyKey must be true or false';
  return { kind: kind as FaultKind, path, times, delayMs, ignoreIdempotencyKey };
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}
