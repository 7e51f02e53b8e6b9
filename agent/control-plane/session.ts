// One connection at work: beats first; when the first is accepted, a Work stream. Both end together, but for
// a while in which the control plane can accept no beats: work goes on, and beats are tried anew.
import type { Order } from '#gen/gapjunction/node/v1/dispatch_pb';
import { pause, type Clock, type Random, type RandomBytes } from '../clock.ts';
import type { NodeIdentity } from '../identity/identity.ts';
import { beat, type Accepted, type BeatContent, type BeatsEnd } from './beats.ts';
import type { Connection } from './connection.ts';
import { openWork, type Introduction, type WorkEnd, type WorkStream } from './work.ts';

export type SessionEnd = BeatsEnd | WorkEnd | { readonly kind: 'closed' };

export interface Session {
  readonly connection: Connection;
  /** True once a beat was accepted. */
  readonly isUp: () => boolean;
  /** Resolves when the first beat is accepted, or the session ended before. */
  readonly settled: Promise<void>;
  /** Why it ended; never rejects. */
  readonly ended: Promise<SessionEnd>;
  /** Tells how many slots are free now. */
  offer(): void;
  /** Tells how much fuel an attempt has burnt so far. */
  progress(attemptId: string, fuel: bigint): void;
  /**
   * Sends no beat until the returned function is called: a beat here after a newer stream's first would be
   * taken for a clone's.
   */
  holdBeats(): () => void;
  /** Whether a beat was sent; the control plane may have accepted it without our hearing. */
  readonly hasBeaten: () => boolean;
  /** Ends both streams; calls that run on the connection go on. */
  close(): void;
}

export interface SessionOptions {
  readonly connection: Connection;
  readonly identity: NodeIdentity;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: RandomBytes;
  readonly introduction: Introduction;
  readonly content: () => BeatContent;
  readonly onAccepted: (accepted: Accepted) => void;
  readonly take: (order: Order) => string | null;
  readonly cancel: (attemptId: string) => void;
  readonly freeSlots: () => number;
}

/**
 * A node is lost after four: at half of that it looks for a replica that does accept its beats, which may
 * have what this one lacks.
 */
const PATIENT_INTERVALS = 2;

/**
 * Between two tries to be heard: half a second at first, since most outages are restarts, then twice as long
 * up to 4 s. A fleet that cannot be heard would otherwise send each replica thirty times its beats.
 */
const UNHEARD_FIRST_PAUSE_MS = 500;
const UNHEARD_LONGEST_PAUSE_MS = 4_000;

/** From half of it to the whole, so that a fleet that lost its beats together does not try in step. */
export function unheardPauseMs(tries: number, random: Random): number {
  const longestMs = Math.min(UNHEARD_LONGEST_PAUSE_MS, UNHEARD_FIRST_PAUSE_MS * 2 ** tries);
  return Math.round((longestMs * (1 + random())) / 2);
}

export function openSession(options: SessionOptions): Session {
  const { connection, clock, random, onAccepted } = options;
  const closing = new AbortController();
  const settled = Promise.withResolvers<void>();
  const workEnd = Promise.withResolvers<WorkEnd>();
  let work: WorkStream | null = null;
  let held: Promise<void> = Promise.resolve();
  let hasBeaten = false;

  /** Until when a session whose beats were accepted waits for the next to be. */
  let patientUntilMs = 0;
  /** Since the last accepted beat. */
  let unheardTries = 0;
  const beatOnce = () =>
    beat({
      ...options,
      signal: closing.signal,
      async beforeBeat() {
        await held;
        hasBeaten = true;
      },
      onAccepted(accepted) {
        unheardTries = 0;
        patientUntilMs = clock.now() + PATIENT_INTERVALS * accepted.intervalMs;
        onAccepted(accepted);
        work?.offerAgain();
        if (work !== null || closing.signal.aborted) return;
        work = openWork({ ...options, signal: closing.signal });
        void work.ended.then(workEnd.resolve);
        settled.resolve();
      },
    });
  async function beatAnew(): Promise<BeatsEnd> {
    for (;;) {
      const end = await beatOnce();
      const pauseMs = unheardPauseMs(unheardTries++, random);
      if (end.kind !== 'unheard' || clock.now() + pauseMs > patientUntilMs) return end;
      await pause(clock, pauseMs, closing.signal);
    }
  }
  const beats = beatAnew();
  const closed = new Promise<SessionEnd>((resolve) => {
    closing.signal.addEventListener('abort', () => resolve({ kind: 'closed' }), { once: true });
  });
  const ended = Promise.race([closed, beats, workEnd.promise]).finally(() => {
    closing.abort(new Error('The session ends'));
    settled.resolve();
  });
  return {
    connection,
    isUp: () => work !== null,
    settled: settled.promise,
    ended,
    offer: () => work?.offer(),
    progress: (attemptId, fuel) => work?.progress(attemptId, fuel),
    holdBeats() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
    hasBeaten: () => hasBeaten,
    close: () => closing.abort(new Error('The session is closed')),
  };
}
