import type { Clock } from '../clock.ts';
import { jobTopic, type Announcements } from './announcements.ts';
import type { JobRecord } from './job-record.ts';

/** A watcher looks by itself so often: only a lost announcement makes that necessary. */
const LOOK_INTERVAL_MS = 5_000;

export interface WatchOptions {
  readonly jobId: string;
  readonly afterRevision: bigint;
  readonly read: () => Promise<JobRecord>;
  readonly announcements: Announcements;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * The job at each revision above the given one, some of them skipped; ends after it has ended, or when the
 * signal aborts. A job that has ended is sent once even where the watcher knows that revision.
 */
export async function* watchJob({
  jobId,
  afterRevision,
  read,
  announcements,
  clock,
  signal,
}: WatchOptions): AsyncGenerator<JobRecord> {
  let isStale = true;
  let wake: (() => void) | null = null;
  const look = () => {
    isStale = true;
    wake?.();
  };
  const stops = [
    announcements.subscribe(jobTopic(jobId), look),
    clock.every(LOOK_INTERVAL_MS, look),
  ];
  signal.addEventListener('abort', look);
  try {
    let sentRevision = afterRevision;
    while (!signal.aborted) {
      if (!isStale) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = null;
        continue;
      }
      isStale = false;
      const record = await read();
      const isOver = record.job.state.kind === 'ended';
      if (record.job.revision > sentRevision || isOver) {
        sentRevision = record.job.revision;
        yield record;
      }
      if (isOver) return;
    }
  } finally {
    for (const stop of stops) stop();
    signal.removeEventListener('abort', look);
  }
}
