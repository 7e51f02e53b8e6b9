// The attempts that a node holds, from the order to the control plane's last word on its receipt.
import { setMaxListeners } from 'node:events';
import type { Logger } from 'pino';

import type { Order } from '#gen/gapjunction/node/v1/dispatch_pb';
import { endName, SANDBOX_DIED } from '../../protocol/bill/ends.ts';
import { sameBytes } from '../../protocol/bill/digest.ts';
import type { GuestOutcome, SandboxPool } from '../../sandbox/sandbox.ts';
import type { Clock, Random } from '../clock.ts';
import { headersOf } from '../control-plane/request-id.ts';
import type { TellEvent } from '../events.ts';
import type { Delivery } from './delivery.ts';
import { BlobUnavailable } from './download.ts';
import { GuestSpecs } from './guest-spec.ts';
import type { Journal } from './journal.ts';
import type { Link } from './link.ts';
import { LogUpload } from './log-upload.ts';
import type { ModuleStore } from './module-store.ts';
import { checkOrder, type AcceptedOrder, type OrderTerms } from './order-check.ts';
import { endedWith, signReceipt, type SignedReceipt } from './receipt.ts';

/** Why an attempt was stopped before its end. */
export type StopReason =
  /** The client's wish, passed on by the control plane: a receipt says how far it came. */
  | 'cancelled'
  /** The owner stops the agent: the control plane hears at once that the job must go elsewhere. */
  | 'agent-stopping'
  /** No beat was accepted for so long that the lease has ended: nobody wants a receipt. */
  | 'lease-lost';

type Attempt =
  | {
      readonly kind: 'running';
      readonly accepted: AcceptedOrder;
      readonly stop: AbortController;
      /** Null while nobody asked for a stop. */
      reason: StopReason | null;
      /** What its guest logs, on its way to the control plane. */
      readonly logs: LogUpload;
    }
  /** The guest's end is signed and in the journal. */
  | { readonly kind: 'delivering'; readonly keyId: Uint8Array };

export interface AttemptParts {
  readonly slots: number;
  readonly terms: OrderTerms;
  readonly pool: Pick<SandboxPool, 'run'>;
  readonly modules: ModuleStore;
  readonly journal: Journal;
  readonly delivery: Delivery;
  readonly link: Link;
  readonly clock: Clock;
  readonly random: Random;
  readonly tell: TellEvent;
  readonly log: Logger;
  /** Ends what is on its way when the agent has stopped. */
  readonly signal: AbortSignal;
}

/** Offers and orders cross on the wire, so a node may get as many again as it has slots; no more. */
const MOST_ORDERS_PER_SLOT = 2;

/** Sandboxes tell once a second; their clocks and ours need not agree to the millisecond. */
const PROGRESS_INTERVAL_MS = 900;

export class Attempts {
  readonly #parts: AttemptParts;
  readonly #held = new Map<string, Attempt>();
  readonly #specs: GuestSpecs;
  #running = 0;
  #fuelSinceStart = 0n;
  /** The owner stops the agent. */
  #draining = false;
  /** The control plane wants nothing new to begin here for now. */
  #paused = false;
  /** Told when slots were freed or taken, and when an attempt is no longer held. */
  onChange: () => void = () => {};
  /** Told how much fuel an attempt has burnt so far. */
  onProgress: (attemptId: string, fuel: bigint) => void = () => {};

  constructor(parts: AttemptParts) {
    this.#parts = parts;
    this.#specs = new GuestSpecs(parts);
  }

  /** Orders that can be taken now. */
  get freeSlots(): number {
    return this.#draining || this.#paused ? 0 : Math.max(0, this.#parts.slots - this.#running);
  }

  /** Attempts that the node holds, for its beats. */
  get heldIds(): string[] {
    return [...this.#held.keys()];
  }

  get runningCount(): number {
    return this.#running;
  }

  get fuelSinceStart(): bigint {
    return this.#fuelSinceStart;
  }

  /** Whether an order that is not complete names this key. */
  namesKey(keyId: Uint8Array): boolean {
    return [...this.#held.values()].some((attempt) =>
      sameBytes(
        attempt.kind === 'running' ? attempt.accepted.signingKey.key.keyId : attempt.keyId,
        keyId,
      ),
    );
  }

  /**
   * Judges an order and begins it; answers the attempt to acknowledge, or null where the order is refused.
   * One that is held already is only acknowledged again.
   */
  take(order: Order): string | null {
    const { terms, clock, log, slots } = this.#parts;
    const verdict = checkOrder(order, terms, clock.now());
    if (verdict.kind === 'refuse') {
      log.warn({ rule: verdict.rule, problem: verdict.problem }, 'refusing an order');
      return null;
    }
    const { accepted } = verdict;
    const { jobId, attemptId } = accepted.order;
    const { requestId } = accepted;
    if (this.#held.has(attemptId)) return attemptId;
    if (this.#draining || this.#running >= slots * MOST_ORDERS_PER_SLOT) {
      log.warn({ jobId, attemptId, requestId }, 'refusing an order: no slot is free');
      return null;
    }
    const attempt: Attempt = {
      kind: 'running',
      accepted,
      stop: new AbortController(),
      reason: null,
      logs: new LogUpload(this.#parts, { attemptId, headers: headersOf(accepted) }),
    };
    // Each download and the sandbox listen; that is a handful, not a leak.
    setMaxListeners(0, attempt.stop.signal);
    this.#held.set(attemptId, attempt);
    this.#running++;
    void this.#carryOut(attempt);
    return attemptId;
  }

  /** Stops an attempt; without effect where it is not running. */
  stop(attemptId: string, reason: StopReason): void {
    const attempt = this.#held.get(attemptId);
    if (attempt?.kind !== 'running' || attempt.reason !== null) return;
    attempt.reason = reason;
    attempt.stop.abort(new Error(`The attempt '${attemptId}' is stopped: ${reason}`));
  }

  stopAll(reason: StopReason): void {
    for (const attemptId of this.heldIds) this.stop(attemptId, reason);
  }

  /** Takes nothing new from now on. */
  drain(): void {
    this.#draining = true;
    this.onChange();
  }

  /** Offers no slots while `isPaused`; an order that is on its way is still taken. */
  pause(isPaused: boolean): void {
    if (isPaused === this.#paused) return;
    this.#paused = isPaused;
    this.#parts.log.info(isPaused ? 'draining: an operator wants it' : 'taking jobs again');
    this.onChange();
  }

  /** Hands in what an earlier process of this agent had signed and not heard about. */
  resume(): void {
    const { journal, log } = this.#parts;
    if (journal.tornBytes > 0) {
      log.warn('dropping a receipt that was half written when the agent was killed');
    }
    for (const attemptId of journal.attemptIds()) {
      const receipt = journal.read(attemptId);
      if (receipt === null) {
        log.warn({ attemptId }, 'dropping a receipt that this version cannot read');
        journal.erase(attemptId);
        continue;
      }
      log.info({ jobId: receipt.jobId, attemptId }, 'handing in a receipt from before the restart');
      const logs = new LogUpload(this.#parts, { attemptId, headers: headersOf(receipt) });
      void this.#deliver(receipt, logs.finish(journal.readLogs(attemptId)));
    }
  }

  async #carryOut(attempt: Extract<Attempt, { kind: 'running' }>): Promise<void> {
    const { log, clock, tell, journal } = this.#parts;
    const { jobId, attemptId } = attempt.accepted.order;
    const { requestId } = attempt.accepted;
    tell({ event: 'job_started', jobId, attemptId });
    log.info({ jobId, attemptId, requestId }, 'beginning an attempt');
    const startedMs = clock.now();
    let receipt: SignedReceipt | null = null;
    let allLogs: Uint8Array = new Uint8Array();
    try {
      const outcome = await this.#outcomeOf(attempt);
      if (outcome !== null) {
        this.#fuelSinceStart += outcome.fuel;
        receipt = await signReceipt(attempt.accepted, outcome, {
          startedMs,
          finishedMs: clock.now(),
        });
        journal.write(receipt, outcome.logs);
        allLogs = outcome.logs;
      }
    } catch (error) {
      // No receipt: the attempt goes missing from the beats, and the job goes to another node.
      log.error({ jobId, attemptId, requestId, err: error }, 'carrying out an order failed');
    }
    this.#running--;
    if (receipt === null) {
      attempt.logs.giveUp();
      this.#held.delete(attemptId);
      this.onChange();
      return;
    }
    const { end, endDetail } = receipt;
    tell({ event: 'job_ended', jobId, attemptId, end: endName(end), endDetail });
    log.info({ jobId, attemptId, requestId, end: endName(end), endDetail }, 'a guest ended');
    await this.#deliver(receipt, attempt.logs.finish(allLogs));
  }

  /** Hands the receipt in once the logs are; behind it nobody takes them. */
  async #deliver(receipt: SignedReceipt, logged: Promise<void>): Promise<void> {
    const { attemptId, bill } = receipt;
    this.#held.set(attemptId, { kind: 'delivering', keyId: bill.receipt.keyId });
    this.onChange();
    await logged;
    await this.#parts.delivery.deliver(receipt);
    this.#held.delete(attemptId);
    this.onChange();
  }

  /** What a sandbox says of its guest, passed on at most once a second whatever the sandbox does. */
  #progressOf(attemptId: string): (fuel: bigint) => void {
    const { clock } = this.#parts;
    let toldMs = -Infinity;
    return (fuel) => {
      if (clock.now() - toldMs < PROGRESS_INTERVAL_MS) return;
      toldMs = clock.now();
      this.onProgress(attemptId, fuel);
    };
  }

  /** How the guest ended, or null where nobody wants a receipt. */
  async #outcomeOf(attempt: Extract<Attempt, { kind: 'running' }>): Promise<GuestOutcome | null> {
    const { accepted, stop, logs } = attempt;
    let outcome: GuestOutcome;
    try {
      const isolationKey = Buffer.from(accepted.order.isolationKey).toString('hex');
      const spec = await this.#specs.of(accepted, stop.signal);
      outcome = await this.#parts.pool.run(isolationKey, spec, {
        signal: stop.signal,
        onLogs: (bytes) => logs.push(bytes),
        onProgress: this.#progressOf(accepted.order.attemptId),
      });
    } catch (error) {
      if (attempt.reason === null && !(error instanceof BlobUnavailable)) throw error;
      outcome =
        attempt.reason === null
          ? endedWith('NODE_FAULT', error instanceof Error ? error.message : '')
          : endedWith('CANCELLED', 'KILLED');
    }
    switch (attempt.reason) {
      case null:
        // Stopped without being asked to: the sandbox was closed under it.
        if (outcome.end === 'CANCELLED')
          return withLogsOf(outcome, endedWith('NODE_FAULT', SANDBOX_DIED));
        // Its process died by itself. That may be the guest's doing: two nodes that say so are believed.
        return outcome.end === 'NODE_FAULT' && outcome.detail === SANDBOX_DIED
          ? withLogsOf(outcome, endedWith('TRAPPED', SANDBOX_DIED))
          : outcome;
      case 'cancelled':
        return outcome;
      case 'agent-stopping':
        // A guest that ended before the stop reached it has earned its pay.
        return outcome.end === 'CANCELLED'
          ? withLogsOf(outcome, endedWith('NODE_FAULT', 'AGENT_STOPPED'))
          : outcome;
      case 'lease-lost':
        return null;
      default:
        return attempt.reason satisfies never;
    }
  }
}

/** What was shown of the logs counts, however the run is judged: the receipt has their digest. */
function withLogsOf({ logs }: GuestOutcome, judged: GuestOutcome): GuestOutcome {
  return { ...judged, logs };
}
