// Which certificates are revoked, in memory, because every call and every stream message asks. Our own
// revocations are announced at once; those of other replicas are read from the database every second.
import type { Clock } from '../clock.ts';
import type { Store } from '../store/store.ts';
import { revokedSerials } from './certificate-store.ts';

/** Streams of a revoked certificate end within a second. */
const REFRESH_INTERVAL_MS = 1000;

/**
 * With no answer from the database for so long, revocations of other replicas may be missing, and callers
 * are refused rather than trusted.
 */
const MAX_STALE_MS = 30_000;

export class Revocations {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #onError: (cause: unknown) => void;
  readonly #listeners = new Set<(serials: readonly string[]) => void>();
  #revoked = new Set<string>();
  #readAtMs = 0;
  #stop: (() => void) | null = null;
  #reading: Promise<void> | null = null;

  private constructor(store: Store, clock: Clock, onError: (cause: unknown) => void) {
    this.#store = store;
    this.#clock = clock;
    this.#onError = onError;
  }

  /** Reads the revoked certificates and keeps them fresh until `close`. */
  static async open(
    store: Store,
    clock: Clock,
    onError: (cause: unknown) => void,
  ): Promise<Revocations> {
    const revocations = new Revocations(store, clock, onError);
    await revocations.#read();
    revocations.#stop = clock.every(REFRESH_INTERVAL_MS, () => revocations.#refresh());
    return revocations;
  }

  /** By serial as `Caller.serial` has it. */
  isRevoked(serial: string): boolean {
    return this.#revoked.has(serial);
  }

  /** Whether the database answered lately; without it nobody's certificate can be trusted. */
  isFresh(nowMs: number): boolean {
    return nowMs - this.#readAtMs <= MAX_STALE_MS;
  }

  /** After commit: ends the calls of these certificates at once. */
  announce(serials: readonly string[]): void {
    const fresh = serials.filter((serial) => !this.#revoked.has(serial));
    if (fresh.length === 0) return;
    for (const serial of fresh) this.#revoked.add(serial);
    for (const listener of this.#listeners) listener(fresh);
  }

  /** Calls the listener with newly revoked serials until the returned function is called. */
  onRevoked(listener: (serials: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#stop?.();
    await this.#reading;
  }

  #refresh(): void {
    if (this.#reading !== null) return;
    this.#reading = this.#read()
      .catch(this.#onError)
      .finally(() => {
        this.#reading = null;
      });
  }

  async #read(): Promise<void> {
    const nowMs = this.#clock.now();
    const serials = await this.#store.read((em) => revokedSerials(em, nowMs));
    // A revocation announced while the answer was under way stays: it may not have been in it.
    const expired = [...this.#revoked].filter((serial) => !serials.includes(serial));
    this.announce(serials);
    this.#forgetNextTime(expired);
    this.#readAtMs = nowMs;
  }

  #absentBefore = new Set<string>();

  /** Expired ones are dropped when two answers in a row did not name them. */
  #forgetNextTime(absent: readonly string[]): void {
    for (const serial of absent) if (this.#absentBefore.has(serial)) this.#revoked.delete(serial);
    this.#absentBefore = new Set(absent);
  }
}
