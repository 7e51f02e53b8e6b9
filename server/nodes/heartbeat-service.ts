// HeartbeatService: the hello, then a verdict on every beat. Nothing here waits for the database but a
// stream's first beat, which makes it its node's newest, and the audit of a refusal.

import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { judgeBeat, STREAM_ID_BYTES } from '../../protocol/heartbeat/acceptance.ts';
import { nextIntervalMs } from '../../protocol/heartbeat/jitter.ts';
import { deriveKeys } from '../../protocol/heartbeat/keys.ts';
import { HeartbeatKey, MAX_BODY_BYTES, NONCE_BYTES } from '../../protocol/heartbeat/mac.ts';
import { replyNonce, type DownKey } from '../../protocol/heartbeat/reply.ts';
import { answerBytes, readFrame, sealedBytes, type Frame } from '../../protocol/heartbeat/wire.ts';
import { serialBytesOfHex } from '../../protocol/identity/serial.ts';
import {
  Directive,
  HeartbeatReplySchema,
  HeartbeatService,
  RefusalReason,
  RefusalReasonSchema,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import { recordAudit } from '../audit/audit-store.ts';
import type { Revocations } from '../certificates/revocations.ts';
import type { Clock } from '../clock.ts';
import { RpcError } from '../rpc/error.ts';
import { inMessages, type FrameAnswer, type FrameHandler } from '../rpc/frames.ts';
import { callerOf, implement, type CallerOf, type ServiceImplementation } from '../rpc/service.ts';
import type { HeartbeatMaster } from '../secrets/secrets.ts';
import type { Store } from '../store/store.ts';
import { beatOf, type Beat } from './beat.ts';
import type { Fleet } from './fleet.ts';
import { isSameStream, judgeOlderBeat, type NewestStream } from './newest-stream.ts';
import { NonceStoreUnavailable, type NonceStore } from './nonce-store.ts';
import { RefusalAudit } from './refusal-audit.ts';
import { mayCall } from './standing.ts';

export interface HeartbeatDeps {
  readonly store: Store;
  readonly clock: Clock;
  /** Cryptographically random bytes. */
  readonly randomBytes: (bytes: number) => Uint8Array;
  /** From 0 to below 1, for the jitter. */
  readonly random: () => number;
  readonly heartbeatMaster: HeartbeatMaster;
  /** Of a node's certificate, from issue to end. */
  readonly certificateLifeMs: number;
  readonly revocations: Pick<Revocations, 'isRevoked'>;
  readonly nonces: NonceStore;
  readonly fleet: Fleet;
  readonly baseIntervalMs: number;
  /** The whole fleet's; the interval is stretched to keep to it. */
  readonly maxBeatsPerSecond: number;
  /** A beat was refused, by RefusalReason's name. */
  readonly onRefused?: (reason: string) => void;
}

/** Four times what a proper beat has: whoever is not far over it is told by a refusal that it is too long. */
const MAX_FRAME_BYTES = 4 * MAX_BODY_BYTES;

/** A stream of one node, from its hello to its end. */
interface Stream {
  readonly caller: CallerOf<'node'>;
  readonly streamId: Uint8Array;
  /** The node's newest stream when this one was opened. */
  readonly seen: NewestStream | null;
  /** This stream as its node's newest, from its first accepted beat on. */
  claim: NewestStream | null;
  readonly keys: DownKey & { readonly up: DownKey['down'] };
  nextSequence: bigint;
}

interface Refused {
  readonly reason: RefusalReason;
  readonly clockOffsetMs: bigint;
  /** Somebody else has the node's key. */
  readonly isClone?: boolean;
}

export function heartbeatService(deps: HeartbeatDeps): ServiceImplementation {
  const streams = new Streams(deps);
  const heartbeat: FrameHandler<Frame> = {
    maxFrameBytes: MAX_FRAME_BYTES,
    read: readFrame,
    open: async (context) => {
      const stream = await streams.open(callerOf(context, 'node'));
      return {
        greeting: streams.hello(stream),
        answer: (frame) => streams.answer(stream, frame),
      };
    },
  };
  const inProcess = inMessages(HeartbeatService.method.heartbeat, heartbeat);
  return implement(HeartbeatService, { heartbeat: inProcess }, { heartbeat });
}

class Streams {
  readonly #deps: HeartbeatDeps;
  readonly #refusals = new RefusalAudit();
  /** Apart, so that no other refusal of the same minute hides one. */
  readonly #clones = new RefusalAudit();

  constructor(deps: HeartbeatDeps) {
    this.#deps = deps;
  }

  async open(caller: CallerOf<'node'>): Promise<Stream> {
    const { heartbeatMaster, randomBytes, fleet } = this.#deps;
    await fleet.know(caller.nodeId);
    const certificate = { nodeId: caller.nodeId, serial: serialBytesOfHex(caller.serial) };
    const keys = await deriveKeys((bytes) => heartbeatMaster.hmac(bytes), certificate);
    return {
      caller,
      streamId: randomBytes(STREAM_ID_BYTES),
      seen: fleet.newestStream(caller.nodeId),
      claim: null,
      keys: {
        keyId: heartbeatMaster.keyId,
        up: new HeartbeatKey(keys.up),
        down: new HeartbeatKey(keys.down),
      },
      nextSequence: 1n,
    };
  }

  hello(stream: Stream): Uint8Array {
    const { streamId } = stream;
    const payload = replyBytes({ case: 'hello', value: { streamId } });
    return this.#seal(stream, this.#deps.randomBytes(NONCE_BYTES), payload);
  }

  answer(stream: Stream, frame: Frame): FrameAnswer | Promise<FrameAnswer> {
    const { clock, nonces, random, fleet } = this.#deps;
    const nowMs = clock.now();
    const verdict = judgeBeat(
      {
        allowed: this.#isAllowed(stream, nowMs),
        streamId: stream.streamId,
        nextSequence: stream.nextSequence,
      },
      frame,
      { nowMs: BigInt(nowMs), key: stream.keys },
    );
    if (verdict.kind === 'refuse') return this.#refuse(stream, frame, verdict);
    if (!fleet.canRecord(nowMs)) throw databaseUnavailable();
    if (this.#isSuperseded(stream)) return this.#supersede(stream, frame);
    const grantedIntervalMs = nextIntervalMs(this.#baseIntervalMs(), random);
    const beat = beatOf(verdict.metrics, { atMs: nowMs, grantedIntervalMs });
    if (beat === null) return this.#refuse(stream, frame, MALFORMED);
    const claimed = claimNonce(nonces, stream.caller.nodeId, frame.nonce);
    return claimed instanceof Promise
      ? claimed.then((isNew) => this.#conclude(stream, { frame, beat, isNew }))
      : this.#conclude(stream, { frame, beat, isNew: claimed });
  }

  /** The nonce's claim is decided: the beat's last checks, and what it changes. */
  #conclude(
    stream: Stream,
    { frame, beat, isNew }: { readonly frame: Frame; readonly beat: Beat; readonly isNew: boolean },
  ): FrameAnswer | Promise<FrameAnswer> {
    const { clock } = this.#deps;
    if (!isNew) return this.#refuse(stream, frame, REPLAYED);
    // While the claim was under way, a revocation or a newer stream may have come.
    if (!this.#isAllowed(stream, clock.now())) return this.#refuse(stream, frame, NOT_ALLOWED);
    if (this.#isSuperseded(stream)) return this.#supersede(stream, frame);
    return stream.claim === null
      ? this.#acceptFirst(stream, frame, beat)
      : this.#accept(stream, frame, beat);
  }

  #accept(stream: Stream, frame: Frame, beat: Beat): FrameAnswer {
    stream.nextSequence++;
    const { fleet } = this.#deps;
    fleet.heard(stream.caller.nodeId, beat);
    const payload = answerBytes({
      nextIntervalMs: beat.grantedIntervalMs,
      lostAfterMs: fleet.lostPeriodMs(beat.grantedIntervalMs),
      directives: this.#directives(stream),
    });
    return { bytes: this.#seal(stream, frame.nonce, payload), isLast: false };
  }

  /** Accepts a stream's first beat once the database has it as its node's newest. */
  async #acceptFirst(stream: Stream, frame: Frame, beat: Beat): Promise<FrameAnswer> {
    const { fleet, clock } = this.#deps;
    const { caller, streamId, seen } = stream;
    const claim = { streamId, firstBeatMs: Number(frame.timestampMs) };
    const { grantedIntervalMs } = beat;
    const isNewest = await fleet
      .claimStream(caller.nodeId, { stream: claim, seen, grantedIntervalMs })
      .catch((cause: unknown) => {
        throw databaseUnavailable(cause);
      });
    // A younger stream has beaten: this beat was late on its way.
    if (!isNewest) return this.#refuse(stream, frame, SUPERSEDED);
    stream.claim = claim;
    if (!this.#isAllowed(stream, clock.now())) return this.#refuse(stream, frame, NOT_ALLOWED);
    return this.#accept(stream, frame, beat);
  }

  #supersede(stream: Stream, frame: Frame): Promise<FrameAnswer> {
    const younger = this.#deps.fleet.newestStream(stream.caller.nodeId);
    const beat = { timestampMs: Number(frame.timestampMs) };
    const isClone = younger !== null && judgeOlderBeat(beat, younger) === 'clone';
    return this.#refuse(stream, frame, { ...SUPERSEDED, isClone });
  }

  async #refuse(stream: Stream, frame: Frame, refusal: Refused): Promise<FrameAnswer> {
    const { reason, clockOffsetMs } = refusal;
    this.#deps.onRefused?.(nameOf(reason));
    await this.#audit(stream, refusal);
    const payload = replyBytes({ case: 'refusal', value: { reason, clockOffsetMs } });
    return { bytes: this.#seal(stream, replyNonce(frame.nonce), payload), isLast: true };
  }

  async #audit(stream: Stream, { reason, isClone = false }: Refused): Promise<void> {
    const { clock, store } = this.#deps;
    const { nodeId, serial } = stream.caller;
    const audit = isClone ? this.#clones : this.#refusals;
    const entry = audit.note(nodeId, nameOf(reason), clock.now());
    if (entry === null) return;
    try {
      await store.transaction((em) =>
        recordAudit(em, {
          actor: `node/${nodeId}`,
          action: isClone ? 'HEARTBEAT_CLONE' : 'HEARTBEAT_REFUSED',
          subject: nodeId,
          details: { reason: entry.reason, serial, unlisted_before: String(entry.unlisted) },
        }),
      );
    } catch (cause) {
      audit.unnote(entry);
      throw cause;
    }
  }

  #isAllowed({ caller }: Stream, nowMs: number): boolean {
    const { revocations, fleet } = this.#deps;
    const standing = fleet.standingOf(caller.nodeId);
    return (
      nowMs <= caller.expiresAtMs &&
      !revocations.isRevoked(caller.serial) &&
      standing !== null &&
      mayCall(standing)
    );
  }

  #baseIntervalMs(): number {
    const { fleet, baseIntervalMs, maxBeatsPerSecond } = this.#deps;
    return Math.max(baseIntervalMs, Math.ceil((fleet.liveCount() / maxBeatsPerSecond) * 1_000));
  }

  /** An agent renews by itself at half of the certificate's life; at a third left it is told to. */
  #directives({ caller }: Stream): Directive[] {
    const { fleet, clock, certificateLifeMs } = this.#deps;
    const directives: Directive[] = [];
    if (caller.expiresAtMs - clock.now() < certificateLifeMs / 3) directives.push(Directive.RENEW);
    if (fleet.standingOf(caller.nodeId) === 'draining') directives.push(Directive.DRAIN);
    return directives;
  }

  #isSuperseded({ caller, claim }: Stream): boolean {
    return claim !== null && !isSameStream(this.#deps.fleet.newestStream(caller.nodeId), claim);
  }

  #seal(stream: Stream, nonce: Uint8Array, payload: Uint8Array): Uint8Array {
    return sealedBytes(stream.keys, payload, { timestampMs: this.#deps.clock.now(), nonce });
  }
}

function claimNonce(
  nonces: NonceStore,
  nodeId: string,
  nonce: Uint8Array,
): boolean | Promise<boolean> {
  try {
    const claimed = nonces.claim(nodeId, nonce);
    return claimed instanceof Promise ? claimed.catch(unclaimable) : claimed;
  } catch (cause) {
    return unclaimable(cause);
  }
}

function unclaimable(cause: unknown): never {
  if (!(cause instanceof NonceStoreUnavailable)) throw cause;
  throw new RpcError(
    'UNAVAILABLE',
    'NONCE_STORE_UNAVAILABLE',
    'checking the beat for a replay: the nonce store does not answer; connect again',
    { cause },
  );
}

function databaseUnavailable(cause?: unknown): RpcError {
  return new RpcError(
    'UNAVAILABLE',
    'DATABASE_UNAVAILABLE',
    'writing down a beat: the database does not answer; connect to another address',
    { cause },
  );
}

function replyBytes(kind: MessageInitShape<typeof HeartbeatReplySchema>['kind']): Uint8Array {
  return toBinary(HeartbeatReplySchema, create(HeartbeatReplySchema, { kind }));
}

function nameOf(reason: RefusalReason): string {
  return RefusalReasonSchema.value[reason]?.localName ?? String(reason);
}

function refused(reason: RefusalReason): Refused {
  return { reason, clockOffsetMs: 0n };
}

const SUPERSEDED = refused(RefusalReason.SUPERSEDED);
const MALFORMED = refused(RefusalReason.MALFORMED);
const REPLAYED = refused(RefusalReason.REPLAYED);
const NOT_ALLOWED = refused(RefusalReason.NOT_ALLOWED);
