// The demo's attacker: it has got hold of a node's certificate and of one beat that was sent, and sends
// that beat again, on the same stream and on a new one. What it lacks is the key of the MAC.
import { randomBytes } from 'node:crypto';

import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';

import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import {
  HeartbeatService,
  MetricsSchema,
  RefusalReasonSchema,
  type HeartbeatRequestSchema,
  type HeartbeatReply,
  type HeartbeatResponse,
} from '#gen/gapjunction/node/v1/heartbeat_pb';

import { macOf, NONCE_BYTES } from '../../protocol/heartbeat/mac.ts';
import { judgeReply, type DownKey } from '../../protocol/heartbeat/reply.ts';
import type { Connection } from '../connection.ts';
import { CommandError } from '../failure.ts';
import { enumText } from '../output.ts';

type Beat = MessageInitShape<typeof HeartbeatRequestSchema> & { readonly nonce: Uint8Array };

export interface StolenNode {
  readonly connection: Connection;
  readonly keys: DownKey & { readonly up: Parameters<typeof macOf>[0] };
}

export interface ReplayedBeat {
  /** The beat was accepted when it was new. */
  readonly accepted: boolean;
  /** Why the control plane refused it the second time, on the same stream; null where it did not. */
  readonly sameStream: string | null;
  /** The same on a new stream. */
  readonly newStream: string | null;
}

export async function replayBeat({ connection, keys }: StolenNode): Promise<ReplayedBeat> {
  const first = new BeatStream(connection, keys);
  const beat = sealBeat(keys, await first.streamId());
  const accepted = (await first.send(beat)).case === 'answer';
  const sameStream = refusalOf(await first.send(beat));
  first.close();
  const second = new BeatStream(connection, keys);
  await second.streamId();
  const newStream = refusalOf(await second.send(beat));
  second.close();
  return { accepted, sameStream, newStream };
}

function refusalOf(reply: HeartbeatReply['kind']): string | null {
  return reply.case === 'refusal' ? enumText(RefusalReasonSchema, reply.value.reason) : null;
}

function sealBeat(keys: StolenNode['keys'], streamId: Uint8Array): Beat {
  const timestampMs = BigInt(Date.now());
  const nonce = randomBytes(NONCE_BYTES);
  const metrics = toBinary(
    MetricsSchema,
    create(MetricsSchema, {
      streamId,
      sequence: 1n,
      slots: 1,
      agentVersion: 'demo',
      isolationLevel: IsolationLevel.PROCESS,
    }),
  );
  const mac = macOf(keys.up, { timestampMs, nonce, body: metrics });
  return { timestampMs, nonce, metrics, mac, keyId: keys.keyId };
}

/** A heartbeat stream, one beat and its reply at a time. */
class BeatStream {
  readonly #keys: DownKey;
  readonly #abort = new AbortController();
  readonly #replies: AsyncIterator<HeartbeatResponse>;
  #push: (beat: Beat) => void = () => {};
  #next = this.#waitForBeat();

  constructor(connection: Connection, keys: DownKey) {
    this.#keys = keys;
    const signal = this.#abort.signal;
    const stream = connection.client(HeartbeatService).heartbeat(this.#beats(), { signal });
    this.#replies = stream[Symbol.asyncIterator]();
  }

  async streamId(): Promise<Uint8Array> {
    const kind = await this.#reply({ kind: 'hello' });
    if (kind.case !== 'hello') throw new CommandError('opening a heartbeat stream: no hello came');
    return kind.value.streamId;
  }

  async send(beat: Beat): Promise<HeartbeatReply['kind']> {
    this.#push(beat);
    return this.#reply({ kind: 'answer', nonce: beat.nonce });
  }

  close(): void {
    this.#abort.abort();
  }

  async #reply(expected: Parameters<typeof judgeReply>[2]): Promise<HeartbeatReply['kind']> {
    const { value, done } = await this.#replies.next();
    if (done) throw new CommandError('holding a heartbeat stream: it ended without a reply');
    const verdict = judgeReply(this.#keys, value, expected);
    if (verdict.kind === 'refuse') {
      throw new CommandError(`holding a heartbeat stream: ${verdict.problem}`);
    }
    return verdict.reply.kind;
  }

  async *#beats(): AsyncGenerator<Beat> {
    for (;;) yield await this.#nextBeat();
  }

  async #nextBeat(): Promise<Beat> {
    const beat = await this.#next;
    this.#next = this.#waitForBeat();
    return beat;
  }

  #waitForBeat(): Promise<Beat> {
    return new Promise((resolve) => {
      this.#push = resolve;
    });
  }
}
