// How long what a job leaves is kept: until its client acknowledges it, or for a time after its end.
import type { Blobs } from '../blobs/blobs.ts';
import type { Clock } from '../clock.ts';
import type { Store } from '../store/store.ts';
import type { JobRecord } from './job-record.ts';
import { acknowledgeOutput, giveUpOverdue } from './retention-store.ts';

export const DEFAULT_OUTPUT_RETENTION_MS = 60 * 60 * 1000;

/** What was acknowledged is erased so soon; many acknowledgements are erased at once. */
const TICK_INTERVAL_MS = 1_000;
/** What nobody acknowledged is looked for so often. */
const TICKS_BETWEEN_SWEEPS = 60;

/** Jobs in one transaction: nobody waits long for them. */
const JOBS_AT_ONCE = 100;

export interface RetentionDeps {
  readonly store: Store;
  readonly blobs: Pick<Blobs, 'giveUpLeft' | 'sweep'>;
  readonly outputRetentionMs: number;
  readonly onError: (doing: string, cause: unknown) => void;
}

export class Retention {
  readonly #deps: RetentionDeps;
  #isAcknowledged = false;
  #ticks = 0;
  #sweeping: Promise<void> | null = null;

  constructor(deps: RetentionDeps) {
    this.#deps = deps;
  }

  get outputRetentionMs(): number {
    return this.#deps.outputRetentionMs;
  }

  /** Throws as JobService.AcknowledgeOutput documents. */
  async acknowledge(job: { clientId: string; jobId: string }) {
    const { store, blobs } = this.#deps;
    const acknowledged = await store.transaction((em) => acknowledgeOutput(em, blobs, job));
    this.#isAcknowledged ||= acknowledged.isNew;
    return acknowledged;
  }

  /** Until the returned function is called. */
  start(clock: Clock): () => Promise<void> {
    const stop = clock.every(TICK_INTERVAL_MS, () => {
      const isDue = this.#ticks++ % TICKS_BETWEEN_SWEEPS === 0;
      if (isDue || this.#isAcknowledged) void this.sweep();
    });
    return async () => {
      stop();
      await this.#sweeping;
    };
  }

  /** Erases what is due, unless that is under way. What goes wrong is told, and tried again the next time. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep()
      .catch((cause: unknown) => this.#deps.onError('erasing what nobody needs', cause))
      .finally(() => {
        this.#sweeping = null;
      });
    return this.#sweeping;
  }

  async #sweep(): Promise<void> {
    const { store, blobs, outputRetentionMs } = this.#deps;
    this.#isAcknowledged = false;
    const overdue = { outputRetentionMs, limit: JOBS_AT_ONCE };
    const giveUp = () => store.transaction((em) => giveUpOverdue(em, blobs, overdue));
    while ((await giveUp()) === JOBS_AT_ONCE);
    await blobs.sweep();
  }
}

/** When what an ended job leaves can be read no more, in Unix milliseconds; null before its end. */
export function outputExpiresMs(
  { job: { state }, outputAcknowledgedMs }: JobRecord,
  outputRetentionMs: number,
): number | null {
  if (state.kind !== 'ended') return null;
  return outputAcknowledgedMs ?? state.endedMs + outputRetentionMs;
}
