// A blob of an order, fetched by its digest and believed only when it has that digest.
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import type { BlobRef } from '#gen/gapjunction/job/v1/bill_pb';
import { reconnectDelayMs } from '../../protocol/heartbeat/jitter.ts';
import { digest, digestText, sameBytes } from '../../protocol/bill/digest.ts';
import { pause, type Clock, type Random } from '../clock.ts';
import { failureText, isAway, isPassing } from '../control-plane/rpc-failure.ts';
import type { Link } from './link.ts';

/** The control plane has not, or does not give, what the order names. */
export class BlobUnavailable extends Error {
  override readonly name = 'BlobUnavailable';
}

/**
 * A blob that a control plane cannot give, though it is there, is given up after so many tries in a row. One
 * that is away is waited for: an outage of ours is no fault of the node, and whoever ends the attempt
 * meanwhile (its lease, its client, the node's owner) aborts the signal.
 */
const MAX_FAULTS = 8;

export interface Downloader {
  readonly link: Link;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * The blob's bytes. Goes on from where a cut left it. Throws BlobUnavailable, or the signal's reason when
 * it is aborted.
 */
export async function download(
  { link, clock, random }: Downloader,
  ref: BlobRef,
  {
    attemptId,
    headers = {},
    signal,
  }: {
    readonly attemptId: string;
    readonly headers?: Record<string, string>;
    readonly signal: AbortSignal;
  },
): Promise<Uint8Array> {
  // The order's limit on sizes was checked before.
  const bytes = new Uint8Array(Number(ref.sizeBytes));
  let filledBytes = 0;
  let faults = 0;
  for (let failedAttempts = 1; ; failedAttempts++) {
    const filledBefore = filledBytes;
    try {
      const connection = await link.connection(signal);
      // Leaving a stream unread does not end it: its own signal does.
      const reading = new AbortController();
      try {
        const chunks = connection
          .client(BlobService)
          .download(
            { digest: ref.digest, offset: BigInt(filledBytes), attemptId },
            { headers, signal: AbortSignal.any([signal, reading.signal]) },
          );
        for await (const { chunk } of chunks) {
          if (chunk.length > bytes.length - filledBytes) {
            throw new BlobUnavailable(
              `fetching ${digestText(ref.digest)}: it is longer than ordered`,
            );
          }
          bytes.set(chunk, filledBytes);
          filledBytes += chunk.length;
        }
      } finally {
        reading.abort();
      }
      break;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof BlobUnavailable) throw error;
      if (filledBytes > filledBefore) {
        failedAttempts = 1;
        faults = 0;
      }
      if (!isAway(error)) faults++;
      if (!isPassing(error) || faults >= MAX_FAULTS) {
        throw new BlobUnavailable(`fetching ${digestText(ref.digest)}: ${failureText(error)}`, {
          cause: error,
        });
      }
      const delay = { failedAttempts, leaseHeld: true, sinceLossMs: 0 };
      await pause(clock, reconnectDelayMs(delay, random), signal);
    }
  }
  if (filledBytes !== bytes.length || !sameBytes(digest(bytes), ref.digest)) {
    throw new BlobUnavailable(`fetching ${digestText(ref.digest)}: other bytes came`);
  }
  return bytes;
}
