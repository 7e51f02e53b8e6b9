// The agent's link to the control plane for as long as it runs: connects, connects again, renews the
// certificate and moves to it without letting go of what runs, and says when nobody has heard of this
// node for so long that its leases have ended.
import { EnrolmentService } from '#gen/gapjunction/node/v1/enrolment_pb';
import { Directive, RefusalReason, type Answer } from '#gen/gapjunction/node/v1/heartbeat_pb';
import type { Order } from '#gen/gapjunction/node/v1/dispatch_pb';
import type { Logger } from 'pino';

import { reconnectDelayMs } from '../../protocol/heartbeat/jitter.ts';
import { pause, type Clock, type Random } from '../clock.ts';
import { AgentError } from '../error.ts';
import type { TellEvent } from '../events.ts';
import type { AgentFolder } from '../folder.ts';
import type { NodeIdentity } from '../identity/identity.ts';
import { dropRetiredKeys, renew } from '../identity/renew.ts';
import { certificateStanding, renewalTimeMs } from '../identity/renewal.ts';
import type { Link } from '../jobs/link.ts';
import { addressText, type Address } from './address.ts';
import type { BeatContent } from './beats.ts';
import { connectTo, type Connection } from './connection.ts';
import { accepted, firstAttempt, lost, waited, type LinkState } from './reconnect.ts';
import { failureText, isNotAllowed } from './rpc-failure.ts';
import { openSession, type Session, type SessionEnd } from './session.ts';

/** A node is lost so many granted intervals after its last accepted beat. */
const LOST_INTERVALS = 4;

/** Node timers end at 24.8 days; a renewal that is further away is looked at again then. */
const MAX_TIMER_MS = 86_400_000;

/** What the link asks of the rest of the agent. */
export interface UplinkHost {
  readonly content: () => BeatContent;
  readonly take: (order: Order) => string | null;
  readonly cancel: (attemptId: string) => void;
  readonly freeSlots: () => number;
  readonly holdsLease: () => boolean;
  readonly namesKey: (keyId: Uint8Array) => boolean;
  /** A beat was accepted, at this time (Unix milliseconds). */
  readonly onBeat: (now: number) => void;
  /** No beat was accepted for the lost period: leases have ended. */
  readonly onLeasesLost: () => void;
  readonly onDrain: () => void;
}

export interface UplinkOptions {
  readonly folder: AgentFolder;
  readonly identity: NodeIdentity;
  readonly addresses: readonly Address[];
  readonly clock: Clock;
  readonly random: Random;
  readonly tell: TellEvent;
  readonly log: Logger;
  /** Slots of this node, for the ready event. */
  readonly slots: number;
  readonly connect?: typeof connectTo;
}

export class Uplink implements Link {
  readonly #options: UplinkOptions;
  readonly #connect: typeof connectTo;
  #identity: NodeIdentity;
  #host: UplinkHost | null = null;
  #session: Session | null = null;
  #state: LinkState;
  readonly #waiters = new Set<(connection: Connection) => void>();
  #callOffLoss = (): void => {};
  #renewing: Promise<void> | null = null;
  /** While a session under a new certificate takes over from the current one. */
  #handingOver: Promise<void> | null = null;
  /** Aborted when `run` ends. */
  #running = new AbortController();
  /** Rejects when a renewal says that connecting again cannot help. */
  readonly #failure = Promise.withResolvers<never>();
  #told = false;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#identity = options.identity;
    this.#connect = options.connect ?? connectTo;
    this.#state = firstAttempt(options.clock.now());
  }

  get identity(): NodeIdentity {
    return this.#identity;
  }

  get state(): LinkState {
    return this.#state;
  }

  connection(signal: AbortSignal): Promise<Connection> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.#session?.isUp() === true) return Promise.resolve(this.#session.connection);
    return new Promise((resolve, reject) => {
      const give = (connection: Connection): void => {
        this.#waiters.delete(give);
        signal.removeEventListener('abort', stop);
        resolve(connection);
      };
      const stop = (): void => {
        this.#waiters.delete(give);
        reject(signal.reason as Error);
      };
      this.#waiters.add(give);
      signal.addEventListener('abort', stop, { once: true });
    });
  }

  /** Tells the control plane how many slots are free, and drops keys that nothing names any more. */
  changed(): void {
    this.#session?.offer();
    const { retired } = this.#identity;
    const namesKey = this.#host?.namesKey;
    if (retired.length === 0 || namesKey === undefined || this.#renewing !== null) return;
    this.#identity = dropRetiredKeys(this.#options.folder, this.#identity, namesKey);
  }

  /**
   * Keeps the link until the signal is aborted. Throws AgentError NODE_NOT_ALLOWED or NODE_SUPERSEDED when
   * connecting again cannot help.
   */
  async run(host: UplinkHost, signal: AbortSignal): Promise<void> {
    this.#host = host;
    const stop = () => this.#running.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    // Whoever loses the race is not asked any more.
    this.#failure.promise.catch(() => {});
    try {
      await Promise.race([
        this.#keepUp(host, this.#running.signal),
        this.#renewInTime(this.#running.signal),
        this.#failure.promise,
      ]);
    } finally {
      signal.removeEventListener('abort', stop);
      this.#running.abort(new Error('The link ends'));
      this.#callOffLoss();
      this.#session?.close();
      this.#session?.connection.close();
    }
  }

  async #keepUp(host: UplinkHost, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#state.kind === 'waiting') {
        await pause(this.#options.clock, this.#state.delayMs, signal);
        this.#state = waited(this.#state);
        continue;
      }
      const session = this.#open(host, this.#state.addressIndex);
      this.#session = session;
      await this.#lastEnd(signal);
    }
  }

  /** Waits for the end of the session, and of those that a renewal put in its place. */
  async #lastEnd(signal: AbortSignal): Promise<void> {
    for (;;) {
      const session = this.#session;
      if (session === null) return;
      const stop = () => session.close();
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
      const end = await session.ended;
      signal.removeEventListener('abort', stop);
      await this.#handingOver;
      if (session !== this.#session) continue;
      this.#session = null;
      const distrust = session.connection.distrust();
      session.connection.close();
      if (!signal.aborted) this.#judge(end, distrust);
      return;
    }
  }

  /** What the end of the current session means; throws where connecting again cannot help. */
  #judge(end: SessionEnd, distrust: string | null): void {
    const { tell, log, clock, random, addresses } = this.#options;
    const cause = distrust ?? causeOf(end);
    if (end.kind === 'not-allowed') throw notAllowed(this.#identity, { cause, now: clock.now() });
    if (end.kind === 'refused') {
      if (end.reason === RefusalReason.NOT_ALLOWED)
        throw notAllowed(this.#identity, { cause, now: clock.now() });
      if (end.reason === RefusalReason.SUPERSEDED) throw superseded(this.#identity);
      if (end.reason === RefusalReason.CLOCK_OUT_OF_WINDOW) {
        tell({ event: 'clock_off', clockOffsetMs: end.clockOffsetMs });
        log.error(
          { clockOffsetMs: end.clockOffsetMs },
          "this machine's clock is off: beats are refused until it is corrected; switch on time synchronization",
        );
      }
    }
    const wasUp = this.#state.kind === 'up';
    this.#state = lost(this.#state, {
      now: clock.now(),
      addressCount: addresses.length,
      leaseHeld: this.#host?.holdsLease() ?? false,
      random,
    });
    const delayMs = this.#state.kind === 'waiting' ? this.#state.delayMs : 0;
    log.warn(
      { cause, delayMs },
      wasUp ? 'the link was lost, connecting again' : 'connecting failed',
    );
    if (wasUp) tell({ event: 'link_lost', cause });
  }

  #open(host: UplinkHost, addressIndex: number): Session {
    const { addresses, clock } = this.#options;
    const identity = this.#identity;
    const address = addresses[addressIndex];
    if (address === undefined) throw new RangeError(`There is no address ${addressIndex}`);
    const connection = this.#connect(address, {
      root: identity.root,
      certificate: { chain: identity.chain, privateKey: identity.key.privateKey },
    });
    const session: Session = openSession({
      connection,
      identity,
      clock,
      content: host.content,
      take: host.take,
      cancel: host.cancel,
      freeSlots: host.freeSlots,
      onAccepted: (answer) => this.#onAccepted(session, answer),
    });
    return session;
  }

  #onAccepted(session: Session, answer: Answer): void {
    const { clock, tell, log, slots } = this.#options;
    const host = this.#host;
    if (host === null) return;
    const now = clock.now();
    this.#callOffLoss();
    this.#callOffLoss = clock.after(Number(answer.nextIntervalMs) * LOST_INTERVALS, () => {
      log.warn(
        'no beat was accepted for four intervals: the leases have ended, stopping all guests',
      );
      host.onLeasesLost();
    });
    host.onBeat(now);
    if (answer.directives.includes(Directive.DRAIN)) host.onDrain();
    if (answer.directives.includes(Directive.RENEW)) void this.#renewNow();
    if (session.isUp()) return;
    // The first beat of this session: the stream for work opens when this returns.
    queueMicrotask(() => {
      if (!session.isUp()) return;
      if (session === this.#session) this.#state = accepted(this.#state);
      for (const give of this.#waiters) give(session.connection);
      log.info({ address: addressText(session.connection.address) }, 'linked to the control plane');
      if (this.#told) return;
      this.#told = true;
      const address = addressText(session.connection.address);
      tell({ event: 'ready', nodeId: this.#identity.nodeId, slots, address });
    });
  }

  /** Renews whenever it is time; only ends by throwing, or with the signal. */
  async #renewInTime(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    while (!signal.aborted) {
      const { notBeforeMs, notAfterMs } = this.#identity.certificate;
      const atMs = renewalTimeMs({ notBeforeMs, notAfterMs }, random());
      while (clock.now() < atMs && !signal.aborted) {
        await pause(clock, Math.min(atMs - clock.now(), MAX_TIMER_MS), signal);
      }
      if (!signal.aborted) await this.#renewNow();
    }
  }

  /** One renewal at a time; retried until it is answered or the agent stops. Never rejects. */
  #renewNow(): Promise<void> {
    this.#renewing ??= this.#renew(this.#running.signal)
      .catch(this.#failure.reject)
      .finally(() => {
        this.#renewing = null;
      });
    return this.#renewing;
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { folder, clock, random, tell, log } = this.#options;
    const startedMs = clock.now();
    for (let failedAttempts = 1; !signal.aborted; failedAttempts++) {
      try {
        const connection = await this.connection(signal);
        const client = connection.client(EnrolmentService);
        this.#identity = await renew(folder, this.#identity, { client, now: clock.now(), signal });
        const { nodeId, certificate } = this.#identity;
        tell({ event: 'renewed', nodeId, certificateExpiresAtMs: certificate.notAfterMs });
        log.info({ nodeId }, 'renewed the certificate');
        this.#handingOver = this.#handOver();
        await this.#handingOver;
        return;
      } catch (error) {
        if (error instanceof AgentError && error.reason === 'NODE_SUPERSEDED') throw error;
        if (signal.aborted) return;
        if (isNotAllowed(error))
          throw notAllowed(this.#identity, { cause: failureText(error), now: clock.now() });
        log.warn({ cause: failureText(error) }, 'renewing the certificate failed, trying again');
        const sinceLossMs = clock.now() - startedMs;
        const delay = { failedAttempts, leaseHeld: false, sinceLossMs };
        await pause(clock, reconnectDelayMs(delay, random), signal);
      }
    }
  }

  /** Opens a session under the new certificate, and lets the old one go when the new one is up. */
  async #handOver(): Promise<void> {
    const old = this.#session;
    const host = this.#host;
    if (old === null || host === null || this.#state.kind !== 'up') return;
    const fresh = this.#open(host, this.#state.addressIndex);
    await fresh.settled;
    if (!fresh.isUp() || this.#session !== old) {
      // The old certificate still works; the next connection takes the new one.
      fresh.close();
      fresh.connection.close();
      return;
    }
    this.#session = fresh;
    // Its calls, downloads above all, finish on the old connection, which then closes by itself.
    old.close();
  }
}

function causeOf(end: SessionEnd): string {
  switch (end.kind) {
    case 'lost':
    case 'not-allowed':
      return end.cause;
    case 'forged':
      return `a frame that is not from our control plane: ${end.problem}`;
    case 'refused':
      return `a beat was refused: ${refusalName(end.reason)}`;
    case 'closed':
      return 'the session was closed';
    default:
      return end satisfies never;
  }
}

function refusalName(reason: RefusalReason): string {
  const names = Object.entries(RefusalReason) as [string, number][];
  return names.find(([, value]) => value === Number(reason))?.[0] ?? String(reason);
}

function notAllowed(
  { nodeId, certificate }: NodeIdentity,
  { cause, now }: { readonly cause: string; readonly now: number },
): AgentError {
  if (certificateStanding(now, certificate) !== 'valid') {
    return new AgentError(
      'IDENTITY_EXPIRED',
      `running the node '${nodeId}': its certificate ended at ${new Date(certificate.notAfterMs).toISOString()}; run 'agent enrol'`,
    );
  }
  return new AgentError(
    'NODE_NOT_ALLOWED',
    `running the node '${nodeId}': the control plane does not accept its certificate (${cause}); it was revoked; run 'agent enrol --replace' to come back`,
  );
}

function superseded({ nodeId }: NodeIdentity): AgentError {
  return new AgentError(
    'NODE_SUPERSEDED',
    `running the node '${nodeId}': another agent beats as this node; stop one of the two, and run 'agent enrol --replace' here if you do not know the other one`,
  );
}
