// Which certificates are revoked, in memory, because every call and every stream message asks. Replicas
// announce theirs to each other, and read the database at once then, and every second in any case.
import type { Clock } from '../clock.ts';
import { REVOCATIONS_TOPIC, type Announcements } from '../jobs/announcements.ts';
import type { Store } from '../store/store.ts';
import { revokedSerials } from './certificate-store.ts';

/** Streams of a revoked certificate end within a second. */
const REFRESH_INTERVAL_MS = 1000;

/**
 * With no answer from the database for so long, revocations of other replicas may be missing, and callers
 * are refused rather than trusted.
 */
const MAX_STALE_MS = 30_000;

export interface RevocationsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly announcements: Announcements;
  /** A failure in the background, for the log. */
  readonly onError: (cause: unknown) => void;
}

export class Revocations {
  readonly #options: RevocationsOptions;
  readonly #listeners = new Set<(serials: readonly string[]) => void>();
  #revoked = new Set<string>();
  #readAtMs = 0;
  #stops: readonly (() => void)[] = [];
  #reading: Promise<void> | null = null;
  #isStale = false;

  private constructor(options: RevocationsOptions) {
    this.#options = options;
  }

  /** Reads the revoked certificates and keeps them fresh until `close`. */
  static async open(options: RevocationsOptions): Promise<Revocations> {
    const revocations = new Revocations(options);
    await revocations.#read();
    const { clock, announcements } = options;
    revocations.#stops = [
      clock.every(REFRESH_INTERVAL_MS, () => revocations.#refresh()),
      announcements.subscribe(REVOCATIONS_TOPIC, () => revocations.#refresh()),
    ];
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

  /** After commit: ends the calls of these certificates at once, on all replicas. */
  announce(serials: readonly string[]): void {
    this.#cut(serials);
    if (serials.length > 0) this.#options.announcements.publish(REVOCATIONS_TOPIC);
  }

  #cut(serials: readonly string[]): void {
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
    for (const stop of this.#stops) stop();
    this.#isStale = false;
    await this.#reading;
  }

  #refresh(): void {
    this.#isStale = true;
    this.#reading ??= this.#readWhileStale()
      .catch(this.#options.onError)
      .finally(() => {
        this.#reading = null;
      });
  }

  /** What was announced while an answer was under way may not be in it. */
  async #readWhileStale(): Promise<void> {
    while (this.#isStale) {
      this.#isStale = false;
      await this.#read();
    }
  }

  async #read(): Promise<void> {
    const { store, clock } = this.#options;
    const nowMs = clock.now();
    const serials = await store.read((em) => revokedSerials(em, nowMs));
    // A revocation announced while the answer was under way stays: it may not have been in it.
    const expired = [...this.#revoked].filter((serial) => !serials.includes(serial));
    this.#cut(serials);
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
