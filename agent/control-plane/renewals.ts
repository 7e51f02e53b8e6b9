// Renewing in time, for as long as the agent runs: at half of each certificate's life, or when the control
// plane asks; one renewal at a time, until it is answered.
import type { Logger } from 'pino';

import { EnrolmentService } from '#gen/gapjunction/node/v1/enrolment_pb';
import { reconnectDelayMs } from '../../protocol/heartbeat/jitter.ts';
import { pause, type Clock, type Random } from '../clock.ts';
import { AgentError } from '../error.ts';
import type { AgentFolder } from '../folder.ts';
import type { NodeIdentity } from '../identity/identity.ts';
import { renew } from '../identity/renew.ts';
import { renewalTimeMs } from '../identity/renewal.ts';
import type { Link } from '../jobs/link.ts';
import { notAllowed } from './link-end.ts';
import { failureText, isNotAllowed } from './rpc-failure.ts';

/** Node timers end at 24.8 days; a renewal that is further away is looked at again then. */
const MAX_TIMER_MS = 86_400_000;

export interface RenewalOptions {
  readonly folder: AgentFolder;
  readonly link: Link;
  readonly identity: () => NodeIdentity;
  /** Takes the new identity into use; the next renewal waits for it. */
  readonly use: (identity: NodeIdentity) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class Renewals {
  readonly #options: RenewalOptions;
  readonly #failure = Promise.withResolvers<never>();
  #current: Promise<void> | null = null;

  constructor(options: RenewalOptions) {
    this.#options = options;
    // It is asked about by `run`, which may not have begun or have ended.
    this.#failure.promise.catch(() => {});
  }

  get isRenewing(): boolean {
    return this.#current !== null;
  }

  /** Renews whenever it is time, until the signal is aborted. Throws AgentError where no renewal helps. */
  async run(): Promise<void> {
    await Promise.race([this.#inTime(), this.#failure.promise]);
  }

  /** Renews now; resolves when that is done or has failed for good. Never rejects. */
  now(): Promise<void> {
    this.#current ??= this.#untilAnswered()
      .catch(this.#failure.reject)
      .finally(() => {
        this.#current = null;
      });
    return this.#current;
  }

  async #inTime(): Promise<void> {
    const { clock, random, signal, identity } = this.#options;
    while (!signal.aborted) {
      const { keyId } = identity().certificate;
      const atMs = renewalTimeMs(identity().certificate, random());
      // A renewal that the control plane asked for meanwhile moves the time.
      while (clock.now() < atMs && identity().certificate.keyId === keyId && !signal.aborted) {
        await pause(clock, Math.min(atMs - clock.now(), MAX_TIMER_MS), signal);
      }
      if (!signal.aborted && identity().certificate.keyId === keyId) await this.now();
    }
  }

  async #untilAnswered(): Promise<void> {
    const { folder, link, clock, random, log, signal, identity, use } = this.#options;
    const startedMs = clock.now();
    for (let failedAttempts = 1; !signal.aborted; failedAttempts++) {
      try {
        const connection = await link.connection(signal);
        const client = connection.client(EnrolmentService);
        await use(await renew(folder, identity(), { client, now: clock.now(), signal }));
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof AgentError && error.reason === 'NODE_SUPERSEDED') throw error;
        if (isNotAllowed(error)) {
          const { nodeId, certificate } = identity();
          throw notAllowed({ nodeId, certificate, now: clock.now() }, failureText(error));
        }
        log.warn({ cause: failureText(error) }, 'renewing the certificate failed, trying again');
        const sinceLossMs = clock.now() - startedMs;
        const delay = { failedAttempts, leaseHeld: false, sinceLossMs };
        await pause(clock, reconnectDelayMs(delay, random), signal);
      }
    }
  }
}
