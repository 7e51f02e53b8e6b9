// What a guest logs, sent while it runs: by offset, so that a piece whose answer was lost is sent again to
// any replica without harm. Kept in memory alone, as the guest's output is until its receipt is signed.
import type { Logger } from 'pino';

import { DispatchService } from '#gen/gapjunction/node/v1/dispatch_pb';
import { reconnectDelayMs } from '../../protocol/heartbeat/jitter.ts';
import { pause, type Clock, type Random } from '../clock.ts';
import { factOf, failureText, isAway, isPassing, reasonOf } from '../control-plane/rpc-failure.ts';
import type { Link } from './link.ts';

/** The contract's bound on one message. */
const MAX_CHUNK_BYTES = 64 * 1024;

/**
 * In a row, after the guest has ended: its owner wants to be paid, and the digest stands in the receipt. While
 * the control plane is away nobody can be paid either.
 */
const MAX_LAST_FAULTS = 5;

export interface LogUploadParts {
  readonly link: Link;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Ends all uploads. */
  readonly signal: AbortSignal;
}

export interface LoggedAttempt {
  readonly attemptId: string;
  /** That go with its calls. */
  readonly headers: Record<string, string>;
}

export class LogUpload {
  readonly #parts: LogUploadParts;
  readonly #attempt: LoggedAttempt;
  #logs: Uint8Array = new Uint8Array();
  #sentBytes = 0;
  #failures = 0;
  /** Those of the failures for which the control plane was there. */
  #faults = 0;
  #isWhole = false;
  #isGivenUp = false;
  #sending: Promise<void> = Promise.resolve();
  #isSending = false;

  constructor(parts: LogUploadParts, attempt: LoggedAttempt) {
    this.#parts = parts;
    this.#attempt = attempt;
  }

  /** The guest wrote more. */
  push(bytes: Uint8Array): void {
    this.#logs = Buffer.concat([this.#logs, bytes]);
    this.#send();
  }

  /**
   * These are all of the logs. Resolves when the control plane has them, or will never have them: where it
   * does not want them, or fails though it can be reached. Never rejects.
   */
  async finish(logs: Uint8Array): Promise<void> {
    this.#logs = logs;
    this.#isWhole = true;
    this.#failures = 0;
    this.#faults = 0;
    this.#send();
    await this.#sending;
  }

  /** Nobody wants the rest. */
  giveUp(): void {
    this.#isGivenUp = true;
  }

  #send(): void {
    if (this.#isSending) return;
    this.#isSending = true;
    this.#sending = this.#sendAll().finally(() => {
      this.#isSending = false;
    });
  }

  async #sendAll(): Promise<void> {
    const { signal, clock, random } = this.#parts;
    while (!this.#isGivenUp && !signal.aborted && this.#sentBytes < this.#logs.length) {
      const delayed = await this.#sendNext();
      if (!delayed) continue;
      this.#failures++;
      if (this.#isWhole && this.#faults >= MAX_LAST_FAULTS) return;
      const delay = { failedAttempts: this.#failures, leaseHeld: true, sinceLossMs: 0 };
      await pause(clock, reconnectDelayMs(delay, random), signal);
    }
  }

  /** Answers whether to wait before the next try. */
  async #sendNext(): Promise<boolean> {
    const { link, log, signal } = this.#parts;
    const { attemptId, headers } = this.#attempt;
    const chunk = this.#logs.subarray(this.#sentBytes, this.#sentBytes + MAX_CHUNK_BYTES);
    const offsetBytes = BigInt(this.#sentBytes);
    try {
      const connection = await link.connection(signal);
      const { nextOffsetBytes } = await connection
        .client(DispatchService)
        .appendLogs({ attemptId, offsetBytes, chunk }, { headers, signal });
      return this.#goOnAt(Number(nextOffsetBytes));
    } catch (error) {
      if (signal.aborted) return false;
      if (!isAway(error)) this.#faults++;
      if (reasonOf(error) === 'OFFSET_MISMATCH') {
        this.#goOnAt(Number(factOf(error, 'offset')));
        return true;
      }
      log.warn({ attemptId, cause: failureText(error) }, 'sending logs failed');
      if (!isPassing(error)) this.#isGivenUp = true;
      return true;
    }
  }

  /** Answers whether that is no step forward. */
  #goOnAt(bytes: number): boolean {
    const isForward = bytes > this.#sentBytes;
    if (Number.isSafeInteger(bytes) && bytes >= 0) this.#sentBytes = bytes;
    if (isForward) {
      this.#failures = 0;
      this.#faults = 0;
    }
    return !isForward;
  }
}
