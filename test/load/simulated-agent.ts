// An agent without an engine: a TLS connection and a heartbeat stream of its own, beating as it is told,
// and, where it has slots, a Work stream on which every guest is over at once.
import { createPrivateKey, sign } from 'node:crypto';

import { create } from '@bufbuild/protobuf';

import { DispatchService } from '#gen/gapjunction/node/v1/dispatch_pb';
import { NodeIdentitySchema } from '#gen/gapjunction/node/v1/enrolment_pb';
import { openConnection, type Connection } from '../../cli/connection.ts';
import type { Clock } from '../../server/clock.ts';
import { BeatStream } from '../fakes/node.ts';
import { ScriptedNode } from '../fakes/scripted-node.ts';
import type { PreparedNode } from './prepared-fleet.ts';

export interface AgentPlace {
  readonly address: string;
  /** PEM */
  readonly ca: string;
  readonly slots: number;
  readonly clock: Clock;
  /** A beat was accepted so many milliseconds after it was sent. */
  readonly onBeat: (tookMs: number) => void;
  /** A beat was refused, or the stream ended while nobody had asked for it. */
  readonly onRefused: (why: string) => void;
}

export class SimulatedAgent {
  readonly #node: PreparedNode;
  readonly #place: AgentPlace;
  readonly #connection: Connection;
  #stream: BeatStream | null = null;
  #stopTimer = (): void => {};
  #stopped = false;

  constructor(node: PreparedNode, place: AgentPlace) {
    this.#node = node;
    this.#place = place;
    this.#connection = openConnection(place.address, {
      ca: place.ca,
      cert: node.certificatePem,
      key: node.privateKeyPem,
    });
  }

  /** Connects, and resolves when the first beat was accepted. Rejects when it was not. */
  async start(): Promise<void> {
    this.#stream = await this.#open();
    await this.#beat();
    if (this.#place.slots > 0) this.#work();
  }

  stop(): void {
    this.#stopped = true;
    this.#stopTimer();
    this.#stream?.close();
    this.#connection.close();
  }

  #open(): Promise<BeatStream> {
    const { nodeId, heartbeatKeyId, up, down, certificatePem, privateKeyPem } = this.#node;
    const identity = create(NodeIdentitySchema, {
      nodeId,
      heartbeatKeys: {
        keyId: heartbeatKeyId,
        nodeToControlPlane: Buffer.from(up, 'base64'),
        controlPlaneToNode: Buffer.from(down, 'base64'),
      },
    });
    const clientFor: Parameters<typeof BeatStream.open>[0]['clientFor'] = (service) =>
      this.#connection.client(service);
    return BeatStream.open(
      { clientFor },
      { id: nodeId, certificatePem, privateKeyPem, node: identity },
    );
  }

  async #beat(): Promise<void> {
    const { clock, onBeat, onRefused } = this.#place;
    const stream = this.#stream!;
    const sentMs = clock.now();
    const answer = await stream.exchange(
      stream.beat({ timestampMs: sentMs, metrics: { slots: this.#place.slots } }),
    );
    if (answer.case !== 'answer') {
      throw new Error(`a beat was answered by a ${answer.case}: ${JSON.stringify(answer.value)}`);
    }
    onBeat(clock.now() - sentMs);
    this.#stopTimer = clock.after(Number(answer.value.nextIntervalMs), () => {
      this.#beat().catch((cause: unknown) => {
        if (!this.#stopped) onRefused(cause instanceof Error ? cause.message : String(cause));
      });
    });
  }

  #work(): void {
    const dispatch = this.#connection.client(DispatchService);
    const key = createPrivateKey(this.#node.privateKeyPem);
    const node = new ScriptedNode(
      {
        work: (requests) => dispatch.work(requests),
        complete: (request) => dispatch.complete(request),
      },
      {
        keyId: Buffer.from(this.#node.keyId, 'base64'),
        sign: async (bytes) => sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }),
      },
    );
    const { slots, onRefused } = this.#place;
    node.connect(slots);
    const refuse = (cause: unknown) => {
      if (!this.#stopped) onRefused(cause instanceof Error ? cause.message : String(cause));
    };
    node.serve(slots, (received) => node.complete(received).catch(refuse)).catch(refuse);
    void node.ended().then(refuse);
  }
}
