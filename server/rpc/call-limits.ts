// How often one address and one certificate may call, and how many streams a certificate may have open.
//
// Each replica counts by itself: asking Redis would add a round trip to every call to guard against what
// each replica has to bear by itself anyway. A caller of three replicas may call three times as often.
import { addressBlock } from './limits.ts';
import { RpcError } from './error.ts';

export interface Rate {
  readonly perSecond: number;
  /** What may come at once after a pause. */
  readonly burst: number;
}

export interface CallLimits {
  readonly perCertificate: Rate;
  readonly perAddress: Rate;
  readonly maxStreamsPerCertificate: number;
}

export const DEFAULT_CALL_LIMITS: CallLimits = {
  // A node with 32 slots of jobs of 50 ms, each with a download, an upload and a Complete.
  perCertificate: { perSecond: 2_000, burst: 4_000 },
  // Many nodes behind one translated address; a replica serves some 10,000 small calls a second.
  perAddress: { perSecond: 10_000, burst: 20_000 },
  // As many jobs as a client has in flight by default, each watched.
  maxStreamsPerCertificate: 1_000,
};

/** Keys remembered at once; a bucket that is full again need not be. */
const MAX_KEYS = 100_000;

/** A token comes each 1,000 ms / perSecond: in thousandths of one, `perSecond` come each millisecond. */
const TOKEN = 1_000;

/** One bucket of tokens a key: `burst` at first, and `perSecond` more each second. */
export class Buckets {
  readonly #rate: Rate;
  /**
   * By the time at which the bucket would be empty if it had no bound (the generic cell rate algorithm), in
   * thousandths of a token since 1970, so that sums are whole.
   */
  readonly #emptyAt = new Map<string, number>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Takes a token. Answers 0, or in how many milliseconds there will be one. */
  take(key: string, nowMs: number): number {
    const { perSecond, burst } = this.#rate;
    const now = nowMs * perSecond;
    const fullAt = now - burst * TOKEN;
    const emptyAt = Math.max(this.#emptyAt.get(key) ?? fullAt, fullAt) + TOKEN;
    if (emptyAt > now) return Math.ceil((emptyAt - now) / perSecond);
    // The longest unused key is the first one.
    this.#emptyAt.delete(key);
    this.#emptyAt.set(key, emptyAt);
    if (this.#emptyAt.size > MAX_KEYS) this.#forgetFirst();
    return 0;
  }

  #forgetFirst(): void {
    for (const key of this.#emptyAt.keys()) {
      this.#emptyAt.delete(key);
      return;
    }
  }
}

/** One replica's counts. */
export class CallCounts {
  readonly #limits: CallLimits;
  readonly #byAddress: Buckets;
  readonly #byCertificate: Buckets;
  readonly #streams = new Map<string, number>();

  constructor(limits: CallLimits) {
    this.#limits = limits;
    this.#byAddress = new Buckets(limits.perAddress);
    this.#byCertificate = new Buckets(limits.perCertificate);
  }

  /** Counts a call from this address. Throws RpcError RATE_LIMITED (RESOURCE_EXHAUSTED). */
  fromAddress(path: string, address: string, nowMs: number): void {
    const retryAfterMs = this.#byAddress.take(addressBlock(address), nowMs);
    if (retryAfterMs > 0) throw rateLimited(path, 'calls_per_second_per_address', retryAfterMs);
  }

  /** Counts a call with this certificate. Throws RpcError RATE_LIMITED (RESOURCE_EXHAUSTED). */
  withCertificate(path: string, serial: string, nowMs: number): void {
    const retryAfterMs = this.#byCertificate.take(serial, nowMs);
    if (retryAfterMs > 0) throw rateLimited(path, 'calls_per_second_per_certificate', retryAfterMs);
  }

  /** Counts a stream until the returned function is called. Throws RpcError RATE_LIMITED (RESOURCE_EXHAUSTED). */
  openStream(path: string, serial: string): () => void {
    const open = this.#streams.get(serial) ?? 0;
    if (open >= this.#limits.maxStreamsPerCertificate) {
      throw rateLimited(path, 'streams_per_certificate', RETRY_STREAM_MS);
    }
    this.#streams.set(serial, open + 1);
    return () => {
      const left = (this.#streams.get(serial) ?? 1) - 1;
      if (left > 0) this.#streams.set(serial, left);
      else this.#streams.delete(serial);
    };
  }
}

/** Streams end when their caller ends them: nobody knows when. */
const RETRY_STREAM_MS = 1_000;

function rateLimited(path: string, limit: string, retryAfterMs: number): RpcError {
  return new RpcError(
    'RESOURCE_EXHAUSTED',
    'RATE_LIMITED',
    `calling ${path}: more than the limit ${limit} allows; try again in ${retryAfterMs} ms`,
    { metadata: { limit, retry_after_ms: String(retryAfterMs) } },
  );
}
