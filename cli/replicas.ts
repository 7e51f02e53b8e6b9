// Calls to whichever replica of the control plane can be reached: the one that answered last, until it does
// not. A call that was begun is never sent again here: who made it knows whether that is safe.
import { setTimeout as delay } from 'node:timers/promises';

import type { DescMessage } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  type StreamResponse,
  type Transport,
  type UnaryResponse,
} from '@connectrpc/connect';
import type { Http2SessionManager } from '@connectrpc/connect-node';

import { ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';

export interface Replica {
  readonly transport: Transport;
  readonly sessions: Pick<Http2SessionManager, 'connect'>;
}

/** Round trips take below 300 ms anywhere: a silent replica costs no more than this where there are others. */
const CONNECT_TIMEOUT_MS = 2_000;

export class ReplicaTransport implements Transport {
  readonly #replicas: readonly Replica[];
  readonly #connectTimeoutMs: number;
  #current = 0;

  /** At least one replica. */
  constructor(replicas: readonly Replica[], connectTimeoutMs = CONNECT_TIMEOUT_MS) {
    this.#replicas = replicas;
    this.#connectTimeoutMs = connectTimeoutMs;
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    ...call: Parameters<Transport['unary']>
  ): Promise<UnaryResponse<I, O>> {
    const replica = await this.#reachable();
    try {
      return (await replica.transport.unary(...call)) as UnaryResponse<I, O>;
    } catch (error) {
      throw this.#seen(replica, error);
    }
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    ...call: Parameters<Transport['stream']>
  ): Promise<StreamResponse<I, O>> {
    const replica = await this.#reachable();
    try {
      const response = (await replica.transport.stream(...call)) as StreamResponse<I, O>;
      return { ...response, message: this.#messages(replica, response.message) };
    } catch (error) {
      throw this.#seen(replica, error);
    }
  }

  async *#messages<T>(replica: Replica, messages: AsyncIterable<T>): AsyncIterable<T> {
    try {
      yield* messages;
    } catch (error) {
      throw this.#seen(replica, error);
    }
  }

  /** Where none can be reached, the one whose call is to tell why. */
  async #reachable(): Promise<Replica> {
    for (let tried = 1; tried < this.#replicas.length; tried++) {
      const replica = this.#replica();
      if (await isReachable(replica, this.#connectTimeoutMs)) return replica;
      this.#moveOn();
    }
    return this.#replica();
  }

  /** After a failure that is the replica's own, the next call goes to another. */
  #seen(replica: Replica, error: unknown): unknown {
    if (replica === this.#replica() && isCut(error)) this.#moveOn();
    return error;
  }

  #replica(): Replica {
    const replica = this.#replicas[this.#current];
    if (replica === undefined) throw new RangeError('There is no address to connect to');
    return replica;
  }

  #moveOn(): void {
    this.#current = (this.#current + 1) % this.#replicas.length;
  }
}

/** How a connection that breaks shows, by where in a call it does; also what a replica may say itself. */
const BROKEN: ReadonlySet<Code> = new Set([
  Code.Canceled,
  Code.Aborted,
  Code.Internal,
  Code.Unknown,
]);

/** Whether the replica was not there, or went away: the same call may be answered by another. */
export function isCut(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  if (error.code === Code.Unavailable) return true;
  // A replica that answers gives its reason.
  return BROKEN.has(error.code) && error.findDetails(ErrorInfoSchema).length === 0;
}

async function isReachable({ sessions }: Replica, timeoutMs: number): Promise<boolean> {
  const timeout = new AbortController();
  const late = delay(timeoutMs, 'error', { signal: timeout.signal }).catch(() => 'error');
  try {
    return (await Promise.race([sessions.connect(), late])) !== 'error';
  } finally {
    timeout.abort();
  }
}
