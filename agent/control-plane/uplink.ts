// The agent's link to the control plane for as long as it runs: connects, connects again, renews the
// certificate and moves to it without letting go of what runs, and says when nobody has heard of this
// node for so long that its leases have ended.
import { Directive } from '#gen/gapjunction/node/v1/heartbeat_pb';
import type { Order } from '#gen/gapjunction/node/v1/dispatch_pb';
import type { Logger } from 'pino';

import { pause, type Clock, type Random, type RandomBytes } from '../clock.ts';
import type { TellEvent } from '../events.ts';
import type { AgentFolder } from '../folder.ts';
import type { NodeIdentity } from '../identity/identity.ts';
import { dropRetiredKeys } from '../identity/renew.ts';
import type { Link } from '../jobs/link.ts';
import { addressText, inRandomOrder, type Address } from './address.ts';
import type { Accepted, BeatContent } from './beats.ts';
import { connectTo, type Connection } from './connection.ts';
import { Leaving, Waiters } from './connections.ts';
import {
  accepted,
  firstAttempt,
  handshakeTimeoutMs,
  lost,
  waited,
  type LinkState,
} from './reconnect.ts';
import { judgeEnd } from './link-end.ts';
import { Renewals } from './renewals.ts';
import { openSession, type Session, type SessionEnd } from './session.ts';
import type { Introduction } from './work.ts';

/** Two agents of one node take the Work stream from each other within a back-off, at most 5 s. */
const TAKEN_OVER_WITHIN_MS = 60_000;

/** What the link asks of the rest of the agent. */
export interface UplinkHost {
  readonly content: () => BeatContent;
  readonly take: (order: Order) => string | null;
  readonly cancel: (attemptId: string) => void;
  readonly freeSlots: () => number;
  readonly holdsLease: () => boolean;
  readonly namesKey: (keyId: Uint8Array) => boolean;
  /** A beat was accepted, at this time (Unix milliseconds). */
  readonly onBeat: (now: number, address: Address) => void;
  /** No beat was accepted for the lost period: leases have ended. */
  readonly onLeasesLost: () => void;
  /** Whether the control plane wants nothing new to begin here; said at each beat. */
  readonly onDrainWish: (isWished: boolean) => void;
}

export interface UplinkOptions {
  readonly folder: AgentFolder;
  readonly identity: NodeIdentity;
  readonly addresses: readonly Address[];
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: RandomBytes;
  readonly tell: TellEvent;
  readonly log: Logger;
  readonly introduction: Introduction;
  /** Slots of this node, for the ready event. */
  readonly slots: number;
  readonly connect?: typeof connectTo;
}

export class Uplink implements Link {
  readonly #options: UplinkOptions;
  readonly #connect: typeof connectTo;
  readonly #addresses: readonly Address[];
  #identity: NodeIdentity;
  #host: UplinkHost | null = null;
  #session: Session | null = null;
  #state: LinkState;
  readonly #waiters = new Waiters();
  #callOffLoss = (): void => {};
  /** While a session under a new certificate takes over from the current one. */
  #handingOver: Promise<void> | null = null;
  /** Aborted when `run` ends. */
  readonly #running = new AbortController();
  readonly #renewals: Renewals;
  readonly #leaving: Leaving;
  #takenOverAtMs: number | null = null;
  #told = false;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#identity = options.identity;
    this.#connect = options.connect ?? connectTo;
    this.#addresses = inRandomOrder(options.addresses, options.random);
    this.#state = firstAttempt(options.clock.now());
    this.#leaving = new Leaving(options.clock);
    this.#renewals = new Renewals({
      ...options,
      link: this,
      identity: () => this.#identity,
      use: (identity) => this.#use(identity),
      signal: this.#running.signal,
    });
  }

  get identity(): NodeIdentity {
    return this.#identity;
  }

  get state(): LinkState {
    return this.#state;
  }

  connection(signal: AbortSignal): Promise<Connection> {
    if (signal.aborted || this.#session?.isUp() !== true) return this.#waiters.next(signal);
    return Promise.resolve(this.#session.connection);
  }

  /** Tells how far a guest is; lost where no link is up. */
  progress(attemptId: string, fuel: bigint): void {
    this.#session?.progress(attemptId, fuel);
  }

  /** Tells the control plane how many slots are free, and drops keys that nothing names any more. */
  changed(): void {
    this.#session?.offer();
    const { retired } = this.#identity;
    const namesKey = this.#host?.namesKey;
    if (retired.length === 0 || namesKey === undefined || this.#renewals.isRenewing) return;
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
    try {
      await Promise.race([this.#keepUp(host, this.#running.signal), this.#renewals.run()]);
    } finally {
      signal.removeEventListener('abort', stop);
      this.#running.abort(new Error('The link ends'));
      this.#callOffLoss();
      this.#session?.close();
      this.#session?.connection.close();
      this.#leaving.closeAll();
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
      if (end.kind === 'leaving') this.#leaving.closeSoon(session.connection);
      else session.connection.close();
      if (!signal.aborted) this.#judge(end, distrust);
      return;
    }
  }

  /** What the end of the current session means; throws where connecting again cannot help. */
  #judge(end: SessionEnd, distrust: string | null): void {
    const { tell, log, clock, random } = this.#options;
    const { nodeId, certificate } = this.#identity;
    const now = clock.now();
    const wasTakenOver =
      this.#takenOverAtMs !== null && now - this.#takenOverAtMs < TAKEN_OVER_WITHIN_MS;
    if (end.kind === 'superseded') this.#takenOverAtMs = now;
    const verdict = judgeEnd(end, { nodeId, certificate, now, wasTakenOver });
    if (verdict.kind === 'stop') throw verdict.error;
    const cause = distrust ?? verdict.cause;
    if (verdict.clockOffsetMs !== null) {
      tell({ event: 'clock_off', clockOffsetMs: verdict.clockOffsetMs });
      log.error(
        { clockOffsetMs: verdict.clockOffsetMs },
        "this machine's clock is off: beats are refused until it is corrected; switch on time synchronization",
      );
    }
    const wasUp = this.#state.kind === 'up';
    this.#state = lost(this.#state, {
      now,
      addressCount: this.#addresses.length,
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
    const { clock, random, randomBytes, introduction } = this.#options;
    const identity = this.#identity;
    const address = this.#addresses[addressIndex];
    if (address === undefined) throw new RangeError(`There is no address ${addressIndex}`);
    const connection = this.#connect(address, {
      root: identity.root,
      certificate: { chain: identity.chain, privateKey: identity.key.privateKey },
      handshakeTimeoutMs: handshakeTimeoutMs(this.#state, this.#addresses.length),
    });
    const session: Session = openSession({
      connection,
      identity,
      clock,
      random,
      randomBytes,
      introduction,
      content: host.content,
      take: host.take,
      cancel: host.cancel,
      freeSlots: host.freeSlots,
      onAccepted: (answer) => this.#onAccepted(session, answer),
    });
    return session;
  }

  #onAccepted(session: Session, { lostAfterMs, directives }: Accepted): void {
    const { clock, tell, log, slots } = this.#options;
    const host = this.#host;
    if (host === null) return;
    const now = clock.now();
    this.#callOffLoss();
    this.#callOffLoss = clock.after(lostAfterMs, () => {
      log.warn(
        { lostAfterMs },
        'no beat was accepted for so long that the leases have ended: stopping all guests',
      );
      host.onLeasesLost();
    });
    host.onBeat(now, session.connection.address);
    host.onDrainWish(directives.includes(Directive.DRAIN));
    if (directives.includes(Directive.RENEW)) void this.#renewals.now();
    if (session.isUp()) return;
    // The first beat of this session: the stream for work opens when this returns.
    queueMicrotask(() => {
      if (!session.isUp()) return;
      if (session === this.#session) this.#state = accepted(this.#state, clock.now());
      this.#waiters.give(session.connection);
      const { nodeId } = this.#identity;
      const address = addressText(session.connection.address);
      log.info({ address }, 'linked to the control plane');
      tell({ event: 'linked', nodeId, address });
      if (this.#told) return;
      this.#told = true;
      tell({ event: 'ready', nodeId, slots, address });
    });
  }

  async #use(identity: NodeIdentity): Promise<void> {
    const { tell, log } = this.#options;
    const { nodeId, certificate } = identity;
    this.#identity = identity;
    tell({ event: 'renewed', nodeId, certificateExpiresAtMs: certificate.notAfterMs });
    log.info({ nodeId }, 'renewed the certificate');
    this.#handingOver = this.#handOver();
    await this.#handingOver;
  }

  /** Opens a session under the new certificate, and lets the old one go when the new one is up. */
  async #handOver(): Promise<void> {
    const old = this.#session;
    const host = this.#host;
    if (old === null || host === null || this.#state.kind !== 'up') return;
    const fresh = this.#open(host, this.#state.addressIndex);
    const release = old.holdBeats();
    await fresh.settled;
    if (!fresh.isUp() || this.#session !== old) {
      fresh.close();
      fresh.connection.close();
      // The old certificate still works; the next connection takes the new one. But where a beat under the
      // new one may have been accepted, another on the old stream would be taken for a clone's.
      if (fresh.hasBeaten()) old.close();
      release();
      return;
    }
    this.#session = fresh;
    // Its calls, downloads above all, finish on the old connection, which then closes by itself.
    old.close();
    release();
  }
}
