// HeartbeatService: the hello, then a verdict on every beat. Nothing here waits for the database but the
// audit of a refusal.

import { create } from '@bufbuild/protobuf';
import { serialBytesOfHex } from '../../protocol/identity/serial.ts';
import { judgeBeat, STREAM_ID_BYTES, type Frame } from '../../protocol/heartbeat/acceptance.ts';
import { nextIntervalMs } from '../../protocol/heartbeat/jitter.ts';
import { deriveKeys, heartbeatKey } from '../../protocol/heartbeat/keys.ts';
import { NONCE_BYTES } from '../../protocol/heartbeat/mac.ts';
import { sealReply, type DownKey } from '../../protocol/heartbeat/reply.ts';
import {
  Directive,
  HeartbeatReplySchema,
  HeartbeatService,
  RefusalReason,
  RefusalReasonSchema,
  type HeartbeatResponse,
} from '#gen/gapjunction/node/v1/heartbeat_pb';
import { recordAudit } from '../audit/audit-store.ts';
import type { Revocations } from '../certificates/revocations.ts';
import type { Clock } from '../clock.ts';
import { RpcError } from '../rpc/error.ts';
import { callerOf, implement, type CallerOf, type ServiceImplementation } from '../rpc/service.ts';
import type { HeartbeatMaster } from '../secrets/secrets.ts';
import type { Store } from '../store/store.ts';
import { beatOf } from './beat.ts';
import type { Fleet } from './fleet.ts';
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
}

/** A stream of one node, from its hello to its end. */
interface Stream {
  readonly caller: CallerOf<'node'>;
  readonly streamId: Uint8Array;
  /** Rises with each stream that opens: the newer one supersedes. */
  readonly opened: number;
  readonly keys: DownKey & { readonly up: DownKey['down'] };
  nextSequence: bigint;
}

type Verdict =
  | { readonly kind: 'answer'; readonly nextIntervalMs: number }
  | { readonly kind: 'refuse'; readonly reason: RefusalReason; readonly clockOffsetMs: bigint };

export function heartbeatService(deps: HeartbeatDeps): ServiceImplementation {
  const streams = new Streams(deps);
  return implement(HeartbeatService, {
    async *heartbeat(requests, context) {
      const stream = await streams.open(callerOf(context, 'node'));
      yield streams.hello(stream);
      for await (const frame of requests) {
        const verdict = await streams.judge(stream, frame);
        if (verdict.kind === 'refuse') {
          await streams.audit(stream, verdict.reason);
          yield streams.refusal(stream, frame, verdict);
          return;
        }
        yield streams.answer(stream, frame, verdict);
      }
    },
  });
}

class Streams {
  readonly #deps: HeartbeatDeps;
  readonly #refusals = new RefusalAudit();
  /** Of each node, `opened` of the newest stream that had a beat accepted; also after that stream's end. */
  readonly #newest = new Map<string, number>();
  #opened = 0;

  constructor(deps: HeartbeatDeps) {
    this.#deps = deps;
  }

  async open(caller: CallerOf<'node'>): Promise<Stream> {
    const { heartbeatMaster, randomBytes, fleet } = this.#deps;
    await fleet.refresh(caller.nodeId);
    const certificate = { nodeId: caller.nodeId, serial: serialBytesOfHex(caller.serial) };
    const keys = await deriveKeys((bytes) => heartbeatMaster.hmac(bytes), certificate);
    return {
      caller,
      streamId: randomBytes(STREAM_ID_BYTES),
      opened: ++this.#opened,
      keys: {
        keyId: heartbeatMaster.keyId,
        up: heartbeatKey(keys.up),
        down: heartbeatKey(keys.down),
      },
      nextSequence: 1n,
    };
  }

  hello(stream: Stream): HeartbeatResponse {
    const { streamId } = stream;
    return this.#seal(stream, this.#deps.randomBytes(NONCE_BYTES), {
      kind: { case: 'hello', value: { streamId } },
    });
  }

  async judge(stream: Stream, frame: Frame): Promise<Verdict> {
    const { clock, nonces, fleet, random } = this.#deps;
    const { nodeId } = stream.caller;
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
    if (verdict.kind === 'refuse') return verdict;
    if (this.#isSuperseded(stream)) return refuse(RefusalReason.SUPERSEDED);
    const grantedIntervalMs = nextIntervalMs(this.#baseIntervalMs(), random);
    const beat = beatOf(verdict.metrics, { atMs: nowMs, grantedIntervalMs });
    if (beat === null) return refuse(RefusalReason.MALFORMED);
    if (!(await this.#claim(nonces, nodeId, frame.nonce))) return refuse(RefusalReason.REPLAYED);
    // While the claim was under way, a revocation or a newer stream may have come.
    if (!this.#isAllowed(stream, clock.now())) return refuse(RefusalReason.NOT_ALLOWED);
    if (this.#isSuperseded(stream)) return refuse(RefusalReason.SUPERSEDED);
    stream.nextSequence++;
    this.#newest.set(nodeId, stream.opened);
    fleet.heard(nodeId, beat);
    return { kind: 'answer', nextIntervalMs: grantedIntervalMs };
  }

  answer(
    stream: Stream,
    frame: Frame,
    verdict: Extract<Verdict, { kind: 'answer' }>,
  ): HeartbeatResponse {
    return this.#seal(stream, frame.nonce, {
      kind: {
        case: 'answer',
        value: {
          nextIntervalMs: BigInt(verdict.nextIntervalMs),
          directives: this.#directives(stream),
        },
      },
    });
  }

  refusal(
    stream: Stream,
    frame: Frame,
    { reason, clockOffsetMs }: Extract<Verdict, { kind: 'refuse' }>,
  ): HeartbeatResponse {
    // A frame without a proper nonce is answered under zeros: there is no beat that it could be taken for.
    const nonce = frame.nonce.length === NONCE_BYTES ? frame.nonce : new Uint8Array(NONCE_BYTES);
    return this.#seal(stream, nonce, {
      kind: { case: 'refusal', value: { reason, clockOffsetMs } },
    });
  }

  async audit(stream: Stream, reason: RefusalReason): Promise<void> {
    const { clock, store } = this.#deps;
    const { nodeId, serial } = stream.caller;
    const entry = this.#refusals.note(nodeId, nameOf(reason), clock.now());
    if (entry === null) return;
    await store.transaction((em) =>
      recordAudit(em, {
        actor: `node/${nodeId}`,
        action: 'HEARTBEAT_REFUSED',
        subject: nodeId,
        details: { reason: entry.reason, serial, unlisted_before: String(entry.unlisted) },
      }),
    );
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

  #isSuperseded(stream: Stream): boolean {
    const newest = this.#newest.get(stream.caller.nodeId);
    return newest !== undefined && newest > stream.opened;
  }

  async #claim(nonces: NonceStore, nodeId: string, nonce: Uint8Array): Promise<boolean> {
    try {
      return await nonces.claim(nodeId, nonce);
    } catch (cause) {
      if (!(cause instanceof NonceStoreUnavailable)) throw cause;
      throw new RpcError(
        'UNAVAILABLE',
        'NONCE_STORE_UNAVAILABLE',
        'checking the beat for a replay: the nonce store does not answer; connect again',
        { cause },
      );
    }
  }

  #seal(
    stream: Stream,
    nonce: Uint8Array,
    reply: Parameters<typeof create<typeof HeartbeatReplySchema>>[1],
  ): HeartbeatResponse {
    return sealReply(stream.keys, create(HeartbeatReplySchema, reply), {
      timestampMs: BigInt(this.#deps.clock.now()),
      nonce,
    });
  }
}

function nameOf(reason: RefusalReason): string {
  return RefusalReasonSchema.value[reason]?.localName ?? String(reason);
}

function refuse(reason: RefusalReason): Verdict {
  return { kind: 'refuse', reason, clockOffsetMs: 0n };
}
