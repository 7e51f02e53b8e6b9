import type { Clock } from '../clock.ts';
import { jobTopic, type Announcements } from './announcements.ts';
import type { JobRecord } from './job-record.ts';
import { looks } from './looks.ts';

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
  ...waiting
}: WatchOptions): AsyncGenerator<JobRecord> {
  let sentRevision = afterRevision;
  for await (const _ of looks({ topic: jobTopic(jobId), ...waiting })) {
    const record = await read();
    const isOver = record.job.state.kind === 'ended';
    if (record.job.revision > sentRevision || isOver) {
      sentRevision = record.job.revision;
      yield record;
    }
    if (isOver) return;
  }
}
