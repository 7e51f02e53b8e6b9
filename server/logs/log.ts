// How the logs of an attempt grow. Pure.
import { RpcError } from '../rpc/error.ts';

/** A row shorter than this takes in what comes next: a node that sends byte by byte makes no row of each. */
export const LEAST_ROW_BYTES = 4096;

export interface LogPiece {
  /** Of the first byte, in the attempt's logs. */
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

/**
 * What of the piece is new behind `sizeBytes`; empty where all of it is there already. Throws RpcError
 * LOGS_TOO_LARGE (INVALID_ARGUMENT), OFFSET_MISMATCH (FAILED_PRECONDITION, metadata `offset`).
 */
export function newBytesOf(
  { offsetBytes, bytes }: LogPiece,
  { sizeBytes, maxBytes }: { readonly sizeBytes: number; readonly maxBytes: number },
): Uint8Array {
  if (offsetBytes + bytes.length > maxBytes) {
    throw new RpcError(
      'INVALID_ARGUMENT',
      'LOGS_TOO_LARGE',
      `adding ${bytes.length} bytes of logs at byte ${offsetBytes}: the order allows ${maxBytes}`,
      { metadata: { max_bytes: String(maxBytes) } },
    );
  }
  if (offsetBytes > sizeBytes) {
    throw new RpcError(
      'FAILED_PRECONDITION',
      'OFFSET_MISMATCH',
      `adding logs at byte ${offsetBytes}: ${sizeBytes} bytes are stored; go on from there`,
      { metadata: { offset: String(sizeBytes) } },
    );
  }
  return bytes.subarray(Math.min(bytes.length, sizeBytes - offsetBytes));
}

export interface LogAttempt {
  readonly attemptId: string;
  /** 0 while nothing was logged. */
  readonly sizeBytes: number;
}

export interface LogPlace {
  /** Null while the job has no attempt. */
  readonly attemptId: string | null;
  readonly offsetBytes: number;
}

/**
 * Where a reader goes on who has read all there is at `place`: at the beginning of the next attempt that
 * logged something; null where there is none yet. `attempts` first to last.
 */
export function nextPlace(place: LogPlace, attempts: readonly LogAttempt[]): LogPlace | null {
  const at = attempts.findIndex(({ attemptId }) => attemptId === place.attemptId);
  const next = attempts.slice(at + 1).find(({ sizeBytes }) => sizeBytes > 0);
  return next === undefined ? null : { attemptId: next.attemptId, offsetBytes: 0 };
}
