// Handing in receipts: each until the control plane has said something definite about it.
import { ConnectError } from '@connectrpc/connect';
import type { Logger } from 'pino';

import { DispatchService, type CompleteResponse } from '#gen/gapjunction/node/v1/dispatch_pb';
import { endName } from '../../protocol/bill/ends.ts';
import { reconnectDelayMs } from '../../protocol/heartbeat/jitter.ts';
import { pause, type Clock, type Random } from '../clock.ts';
import { headersOf } from '../control-plane/request-id.ts';
import { failureText, isPassing, reasonOf } from '../control-plane/rpc-failure.ts';
import type { TellEvent } from '../events.ts';
import type { BillStore } from './bill-store.ts';
import { Gate } from './gate.ts';
import type { Journal } from './journal.ts';
import type { Link } from './link.ts';
import type { SignedReceipt } from './receipt.ts';
import { checkSettlement } from './settlement-check.ts';
import type { Signers } from './signers.ts';
import { MAX_INLINE_OUTPUT_BYTES, uploadOutput } from './upload.ts';

/** What one try of Complete said. */
export type Answer =
  /** The receipt was accepted; the settlement where it is paid. */
  | { readonly kind: 'accepted'; readonly response: CompleteResponse }
  /** Accepted, and its settlement is not signed yet. */
  | { readonly kind: 'unsigned' }
  /** Nothing will ever be paid for it. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The output is to be uploaded first. */
  | { readonly kind: 'output-missing' }
  /** Nothing definite: ask again. */
  | { readonly kind: 'unknown' };

const REFUSALS: ReadonlySet<string> = new Set([
  'TASK_UNKNOWN',
  'ATTEMPT_STALE',
  'RECEIPT_CHANGED',
  'RECEIPT_INVALID',
]);

/** What a failure of Complete means, by the reasons of the contract. */
export function answerOf(error: unknown): Answer {
  const reason = reasonOf(error);
  if (REFUSALS.has(reason)) return { kind: 'refused', reason };
  if (reason === 'OUTPUT_MISSING') return { kind: 'output-missing' };
  if (reason === 'SETTLEMENT_UNSIGNED') return { kind: 'unsigned' };
  return { kind: 'unknown' };
}

export interface DeliveryParts {
  readonly link: Link;
  readonly journal: Journal;
  readonly bills: BillStore;
  readonly signers: Signers;
  readonly clock: Clock;
  readonly random: Random;
  readonly tell: TellEvent;
  readonly log: Logger;
  /** Ends all deliveries; what was not answered stays in the journal. */
  readonly signal: AbortSignal;
}

/** A connection carries 32 calls; the streams, downloads and whatever else comes need some of them. */
const MOST_CALLS = 12;

export class Delivery {
  readonly #parts: DeliveryParts;
  readonly #gate = new Gate(MOST_CALLS);
  /** Attempts whose settlement is not signed yet; asked for one after the other. */
  readonly #unsigned: string[] = [];
  #collecting = false;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /**
   * Hands in a receipt that is in the journal; resolves when the control plane has decided about it (then
   * the node no longer holds the attempt), or when the agent stops. Never rejects.
   */
  async deliver(receipt: SignedReceipt): Promise<void> {
    const answer = await this.#untilDefinite(receipt);
    if (answer === null) return;
    if (answer.kind === 'unsigned') {
      this.#unsigned.push(receipt.attemptId);
      void this.#collectUnsigned();
      return;
    }
    this.#finish(receipt, answer);
  }

  /** Asks for settlements that could not be signed when their receipts were accepted, oldest first. */
  async #collectUnsigned(): Promise<void> {
    if (this.#collecting) return;
    this.#collecting = true;
    for (let attemptId = this.#unsigned.shift(); attemptId; attemptId = this.#unsigned.shift()) {
      const receipt = this.#parts.journal.read(attemptId);
      if (receipt === null) continue;
      const answer = await this.#untilDefinite(receipt, { waitForSignature: true });
      if (answer === null) break;
      if (answer.kind !== 'unsigned') this.#finish(receipt, answer);
    }
    this.#collecting = false;
  }

  /** Null when the agent stops. */
  async #untilDefinite(
    receipt: SignedReceipt,
    { waitForSignature = false }: { readonly waitForSignature?: boolean } = {},
  ): Promise<Exclude<Answer, { kind: 'unknown' | 'output-missing' }> | null> {
    const { clock, random, signal } = this.#parts;
    const startedMs = clock.now();
    let upload = receipt.output.length > MAX_INLINE_OUTPUT_BYTES;
    for (let failedAttempts = 1; !signal.aborted; failedAttempts++) {
      const toUpload = upload;
      const answer = await this.#gate.through(() => this.#ask(receipt, toUpload));
      if (answer.kind === 'accepted' || answer.kind === 'refused') return answer;
      if (answer.kind === 'unsigned' && !waitForSignature) return answer;
      // What was cut goes on where it was, at whichever replica is there.
      if (answer.kind === 'output-missing') upload = receipt.output.length > 0;
      const sinceLossMs = clock.now() - startedMs;
      const delay = { failedAttempts, leaseHeld: answer.kind !== 'unsigned', sinceLossMs };
      await pause(clock, reconnectDelayMs(delay, random), signal);
    }
    return null;
  }

  async #ask(receipt: SignedReceipt, upload: boolean): Promise<Answer> {
    const { link, log, signal } = this.#parts;
    const { attemptId, requestId, taskId, output, bill } = receipt;
    try {
      const connection = await link.connection(signal);
      const headers = headersOf(receipt);
      if (upload) {
        await uploadOutput(connection, output, { attemptId, headers, signal }).catch(
          (error: unknown) => {
            // Refused for good, as where the lease has ended: Complete says what that means for the receipt.
            if (isPassing(error)) throw error;
            log.warn(
              { attemptId, requestId, cause: failureText(error) },
              'uploading an output failed',
            );
          },
        );
      }
      const inlineOutput = output.length <= MAX_INLINE_OUTPUT_BYTES ? output : undefined;
      const response = await connection
        .client(DispatchService)
        .complete({ taskId, receipt: bill.receipt, inlineOutput }, { headers, signal });
      return { kind: 'accepted', response };
    } catch (error) {
      const answer = answerOf(error);
      if (answer.kind === 'unknown' && !signal.aborted) {
        // A plain failure is of the network; anything else would be a mistake of ours.
        const level = error instanceof ConnectError ? 'warn' : 'error';
        log[level](
          { attemptId, requestId, cause: failureText(error) },
          'handing in a receipt: no answer yet',
        );
      }
      return answer;
    }
  }

  #finish(receipt: SignedReceipt, answer: Extract<Answer, { kind: 'accepted' | 'refused' }>): void {
    const { journal, log } = this.#parts;
    const { jobId, attemptId, requestId } = receipt;
    try {
      if (answer.kind === 'refused') {
        log.warn(
          { jobId, attemptId, requestId, reason: answer.reason },
          'the receipt was refused; nothing is paid',
        );
      } else {
        this.#keepBill(receipt, answer.response);
      }
      journal.erase(attemptId);
    } catch (cause) {
      // A full disk, say. The receipt stays in the journal: the next start hands it in again, and gets the
      // same answer.
      log.error(
        { jobId, attemptId, requestId, err: cause },
        'writing down what became of a receipt failed; it is handed in again when the agent starts',
      );
    }
  }

  #keepBill(receipt: SignedReceipt, response: CompleteResponse): void {
    const { bills, signers, tell, log } = this.#parts;
    const { jobId, attemptId, requestId, end } = receipt;
    if (response.settlement === undefined) {
      log.info(
        { jobId, attemptId, requestId, end: endName(end) },
        'the receipt was accepted without pay',
      );
      return;
    }
    const verdict = checkSettlement(response, receipt, signers);
    if (!verdict.ok) {
      log.error(
        { jobId, attemptId, requestId, problem: verdict.problem },
        'the settlement does not hold; tell the operator',
      );
      return;
    }
    const { nodeShareMicrocents } = verdict.settlement;
    bills.keep(verdict.bill, { jobId });
    tell({
      event: 'job_settled',
      jobId,
      attemptId,
      nodeShareMicrocents: String(nodeShareMicrocents),
    });
  }
}
