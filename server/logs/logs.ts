// Logs as nodes send them and clients read them, while the guest runs and after it.
import type { Clock } from '../clock.ts';
import { jobTopic, type Announcements } from '../jobs/announcements.ts';
import { looks } from '../jobs/looks.ts';
import { notFound, RpcError } from '../rpc/error.ts';
import type { Store } from '../store/store.ts';
import { nextPlace, type LogPiece, type LogPlace } from './log.ts';
import { appendLog, readLog, readLogsOfJob, type LogsOfJob } from './log-store.ts';

export interface LogsDeps {
  readonly store: Store;
  readonly announcements: Announcements;
  readonly clock: Clock;
  /** Answers so many cryptographically random bytes. */
  readonly random: (bytes: number) => Uint8Array;
}

export interface LogRequest {
  readonly clientId: string;
  readonly jobId: string;
  /** Empty for the newest. */
  readonly attemptId: string;
  readonly offsetBytes: bigint;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** The contract's bound on a chunk, in bytes. */
const MAX_CHUNK_BYTES = 64 * 1024;

export class Logs {
  readonly #deps: LogsDeps;

  constructor(deps: LogsDeps) {
    this.#deps = deps;
  }

  /** Answers where the next piece begins. Throws as DispatchService.AppendLogs documents. */
  async append(
    piece: LogPiece & { readonly attemptId: string; readonly nodeId: string },
  ): Promise<number> {
    const { store, announcements, random } = this.#deps;
    const { jobId, sizeBytes, isNew } = await store.transaction((em) =>
      appendLog(em, piece, random),
    );
    if (isNew) announcements.publish(jobTopic(jobId));
    return sizeBytes;
  }

  /**
   * The logs from where was asked for, then what comes, until the job has ended or the signal aborts. One
   * piece is read when the one before was taken. Throws as JobService.TailLogs documents.
   */
  async *tail(
    request: LogRequest,
  ): AsyncGenerator<LogPiece & { readonly attemptId: string }, void, undefined> {
    const { announcements, clock } = this.#deps;
    const { jobId, signal } = request;
    let place: LogPlace | null = null;
    for await (const _ of looks({ topic: jobTopic(jobId), announcements, clock, signal })) {
      // Read before the bytes: what had ended by then has all its bytes stored.
      const logs = await this.#logsOf(request);
      place ??= firstPlace(request, logs);
      for (let at: LogPlace | null = place; at !== null; at = nextPlace(place, logs.attempts)) {
        place = at;
        for await (const piece of this.#stored(request, place, logs)) {
          if (signal.aborted) return;
          yield piece;
          place = { ...place, offsetBytes: piece.offsetBytes + piece.bytes.length };
        }
      }
      if (logs.hasEnded || !request.follow) return;
    }
  }

  async #logsOf({ clientId, jobId }: LogRequest): Promise<LogsOfJob> {
    const logs = await this.#deps.store.read((em) => readLogsOfJob(em, { clientId, jobId }));
    if (logs === null) throw notFound('the job', jobId);
    if (!logs.isGranted) {
      throw new RpcError(
        'FAILED_PRECONDITION',
        'LOGS_NOT_GRANTED',
        `reading the logs of '${jobId}': it was submitted without the grant DEBUG_LOGS`,
      );
    }
    if (logs.isErased) throw logsErased(jobId);
    return logs;
  }

  /** From the place to the end of its attempt's logs as they were known. */
  async *#stored(
    { jobId }: LogRequest,
    { attemptId, offsetBytes }: LogPlace,
    { attempts }: LogsOfJob,
  ) {
    if (attemptId === null) return;
    const sizeBytes = attempts.find((attempt) => attempt.attemptId === attemptId)?.sizeBytes ?? 0;
    let fromBytes = offsetBytes;
    while (fromBytes < sizeBytes) {
      const at = { attemptId, fromBytes };
      const piece = await this.#deps.store.read((em) => readLog(em, at));
      // Meanwhile: what was sent is not all, and must not pass for it.
      if (piece === null) throw logsErased(jobId);
      for (let sent = 0; sent < piece.bytes.length; sent += MAX_CHUNK_BYTES) {
        const bytes = piece.bytes.subarray(sent, sent + MAX_CHUNK_BYTES);
        yield { attemptId, offsetBytes: fromBytes + sent, bytes };
      }
      fromBytes += piece.bytes.length;
    }
  }
}

function logsErased(jobId: string): RpcError {
  return new RpcError(
    'FAILED_PRECONDITION',
    'LOGS_ERASED',
    `reading the logs of '${jobId}': its output was acknowledged, or its time is over; they are erased`,
  );
}

function firstPlace({ attemptId, offsetBytes }: LogRequest, { attempts }: LogsOfJob): LogPlace {
  if (attemptId === '') {
    return {
      attemptId: attempts.at(-1)?.attemptId ?? null,
      offsetBytes: byteOf(offsetBytes),
    };
  }
  if (!attempts.some((attempt) => attempt.attemptId === attemptId)) {
    throw notFound('the attempt', attemptId);
  }
  return { attemptId, offsetBytes: byteOf(offsetBytes) };
}

/** What lies beyond every log is as far as the end of any. */
function byteOf(offset: bigint): number {
  return Number(offset > 0x7fff_ffffn ? 0x7fff_ffffn : offset);
}
