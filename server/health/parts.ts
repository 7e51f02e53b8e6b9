// Whether what this replica leans on answers: each part is asked every few seconds, so that a question of
// a load balancer costs nothing and an outage is told even when nobody calls.
import type { Clock } from '../clock.ts';

export interface PartCheck {
  /** Short and fixed, as `database`. */
  readonly name: string;
  /** Whether calls cannot be served while it is down. */
  readonly needed: boolean;
  /** Rejects when the part does not do its work. */
  readonly ask: () => Promise<unknown>;
}

export interface PartStatus {
  readonly name: string;
  readonly needed: boolean;
  readonly up: boolean;
  /** Unix milliseconds since when it is up or down. */
  readonly sinceMs: number;
}

export interface PartsOptions {
  readonly checks: readonly PartCheck[];
  readonly clock: Clock;
  /** A part went down (with the cause) or came back (null): for the log. */
  readonly onChange: (status: PartStatus, cause: unknown) => void;
}

/** An outage is noticed within ask interval and time-out: 5 s. */
const ASK_INTERVAL_MS = 3_000;
const ASK_TIMEOUT_MS = 2_000;

export class Parts {
  readonly #options: PartsOptions;
  readonly #statuses = new Map<string, PartStatus>();
  readonly #listeners = new Set<() => void>();
  readonly #asking = new Set<string>();
  #stop: () => void = () => {};

  private constructor(options: PartsOptions) {
    this.#options = options;
    const sinceMs = options.clock.now();
    // What did not answer would not have let this replica start.
    for (const { name, needed } of options.checks) {
      this.#statuses.set(name, { name, needed, up: true, sinceMs });
    }
  }

  static open(options: PartsOptions): Parts {
    const parts = new Parts(options);
    parts.#stop = options.clock.every(ASK_INTERVAL_MS, () => void parts.ask());
    return parts;
  }

  /** In the order of the checks. */
  all(): readonly PartStatus[] {
    return [...this.#statuses.values()];
  }

  /** Null for a name that is no part's. */
  of(name: string): PartStatus | null {
    return this.#statuses.get(name) ?? null;
  }

  /** Whether everything that is needed answers. */
  isServing(): boolean {
    return this.all().every(({ needed, up }) => up || !needed);
  }

  /** Called after each change until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Asks every part once now; one that is still being asked is not asked again. */
  async ask(): Promise<void> {
    const { checks } = this.#options;
    await Promise.all(checks.map((check) => this.#askOne(check)));
  }

  close(): void {
    this.#stop();
  }

  async #askOne(check: PartCheck): Promise<void> {
    if (this.#asking.has(check.name)) return;
    this.#asking.add(check.name);
    const answered = check.ask().finally(() => this.#asking.delete(check.name));
    try {
      await this.#inTime(answered);
      this.#note(check.name, true, null);
    } catch (cause) {
      this.#note(check.name, false, cause);
    }
  }

  async #inTime(answered: Promise<unknown>): Promise<void> {
    const late = Promise.withResolvers<never>();
    const cancel = this.#options.clock.after(ASK_TIMEOUT_MS, () =>
      late.reject(new Error(`no answer within ${ASK_TIMEOUT_MS} ms`)),
    );
    try {
      await Promise.race([answered, late.promise]);
    } finally {
      cancel();
    }
  }

  #note(name: string, up: boolean, cause: unknown): void {
    const before = this.#statuses.get(name);
    if (before === undefined || before.up === up) return;
    const status = { ...before, up, sinceMs: this.#options.clock.now() };
    this.#statuses.set(name, status);
    this.#options.onChange(status, cause);
    for (const listener of this.#listeners) listener();
  }
}
