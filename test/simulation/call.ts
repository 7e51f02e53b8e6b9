// One call of the simulation: its messages up and down, its end, and the handler that answers it.
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethod,
  type Message,
} from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { status } from '@grpc/grpc-js';
import { ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';
import { RpcError } from '../../server/rpc/error.ts';
import type { CallContext } from '../../server/rpc/service.ts';
import type { SimulatedConnection } from './connection.ts';
import { Inbox } from './inbox.ts';
import type { Process } from './process.ts';

type Handler = (request: unknown, context: CallContext) => Promise<object> | AsyncIterable<object>;

export class Call {
  /** What came down, for the client. */
  readonly responses = new Inbox<Message>();
  /** Resolves when the replica has taken the call. */
  readonly accepted = Promise.withResolvers<void>();
  readonly #connection: SimulatedConnection;
  readonly #method: DescMethod;
  readonly #requestId: string;
  /** What came up, for the handler. */
  readonly #requests = new Inbox<Message>();
  readonly #abort = new AbortController();
  #isHandled = false;
  #isOverAtClient = false;
  #isOverAtReplica = false;
  #number = 0;
  /** When the last message of each direction arrives: the next one comes later. */
  readonly #lastMs = { up: 0, down: 0 };

  constructor(connection: SimulatedConnection, method: DescMethod, header: Headers) {
    this.#connection = connection;
    this.#method = method;
    this.#requestId = header.get('x-request-id') ?? 'simulated';
    this.accepted.promise.catch(() => {});
  }

  /** The client sends a message. */
  request(init: object): void {
    const { input } = this.#method;
    const message = create(input, init as never) as Message;
    this.#send('up', message, input, (arrived) => {
      this.#handle();
      this.#requests.put(arrived);
    });
  }

  /** The client has no more to send. */
  endRequests(): void {
    this.#send('up', null, null, () => {
      this.#handle();
      this.#requests.end(null);
    });
  }

  /** The client opens the call without a message. */
  open(): void {
    this.#send('up', null, null, () => this.#handle());
  }

  /** The client gives the call up. */
  cancel(reason: unknown): void {
    if (this.#isOverAtClient) return;
    const cause =
      reason instanceof ConnectError ? reason : ConnectError.from(reason, Code.Canceled);
    this.failAtClient(new ConnectError(cause.rawMessage, Code.Canceled));
    this.#send('up', null, null, () => this.failAtReplica());
  }

  failAtClient(error: ConnectError): void {
    if (this.#isOverAtClient) return;
    this.#isOverAtClient = true;
    this.responses.fail(error);
    this.accepted.reject(error);
    this.#connection.ended(this);
  }

  failAtReplica(): void {
    if (this.#isOverAtReplica) return;
    this.#isOverAtReplica = true;
    this.#requests.end(
      new RpcError('CANCELLED', 'CANCELLED', `calling ${this.#method.name}: the call is over`),
    );
    this.#abort.abort();
  }

  #handle(): void {
    if (this.#isHandled || this.#isOverAtReplica || !this.#connection.isOpenAtReplica) return;
    this.#isHandled = true;
    const { replica, caller, wiring } = this.#connection;
    this.#number = wiring.wiretap.nextCallNumber();
    const handler = replica.handlerOf(this.#method) as Handler;
    const context: CallContext = {
      caller,
      requestId: this.#requestId,
      address: '127.0.0.1',
      signal: this.#abort.signal,
      log: replica.log,
    };
    this.#send('down', null, null, () => this.accepted.resolve());
    this.#answer(handler, context).then(
      () => this.#finish(null),
      (error: unknown) => this.#finish(error),
    );
  }

  async #answer(handler: Handler, context: CallContext): Promise<void> {
    const { methodKind, output } = this.#method;
    const takesOne = methodKind === 'unary' || methodKind === 'server_streaming';
    const request = takesOne ? (await this.#requests.next()).value : this.#requests;
    const answer = handler(request, context);
    if (Symbol.asyncIterator in answer) {
      for await (const response of answer) {
        if (this.#isOverAtReplica) return;
        this.#respond(response, output);
      }
      return;
    }
    const response = await answer;
    if (!this.#isOverAtReplica) this.#respond(response, output);
  }

  #respond(response: object, output: DescMessage): void {
    const message = create(output, response as never) as Message;
    this.#send('down', message, output, (arrived) => this.responses.put(arrived));
  }

  #finish(error: unknown): void {
    if (this.#isOverAtReplica) return;
    this.#isOverAtReplica = true;
    this.#abort.abort();
    this.#requests.end(null);
    if (error !== null && !(error instanceof RpcError)) {
      this.#connection.replica.log.error({ err: error }, `answering ${this.#method.name}`);
    }
    this.#send('down', null, null, () => {
      if (error !== null) return this.failAtClient(connectErrorOf(error));
      this.#isOverAtClient = true;
      this.responses.end(null);
      this.#connection.ended(this);
    });
  }

  /** A message of the contract, or (null) one of HTTP/2's own. */
  #send(
    direction: 'up' | 'down',
    message: Message | null,
    schema: DescMessage | null,
    deliver: (message: never) => void,
  ): void {
    const { client, wiring, caller } = this.#connection;
    let receiver: Process;
    let sender: Process;
    try {
      const { process } = this.#connection.replica;
      [sender, receiver] = direction === 'up' ? [client, process] : [process, client];
    } catch {
      // Nobody answers there; the connection says so in time.
      return;
    }
    if (!sender.isAlive) return;
    if (message === null || schema === null) {
      this.#carry(direction, receiver, () => deliver(null as never));
      return;
    }
    wiring.wiretap.beforeSend(sender);
    if (!sender.isAlive) return;
    const seen = {
      method: this.#method,
      caller,
      call: this,
      callNumber: this.#number,
      direction,
      message,
    };
    for (const sent of wiring.wiretap.onSent(seen)) {
      const bytes = toBinary(schema, sent);
      this.#carry(direction, receiver, () => {
        const arrived = fromBinary(schema, bytes);
        wiring.trace.note(
          `${sender.name} > ${receiver.name} ${this.#method.name} ${kindOf(arrived)}`,
        );
        deliver(arrived as never);
      });
    }
    if (wiring.wiretap.isCut()) this.#connection.cut('it is reset');
    wiring.wiretap.afterSend(sender);
  }

  /** In the order in which they were sent, within a direction of the call. */
  #carry(direction: 'up' | 'down', receiver: Process, arrive: () => void): void {
    const { client, address, wiring } = this.#connection;
    const isUp = direction === 'up';
    const [from, to] = isUp ? [client.name, address] : [address, client.name];
    const nowMs = client.timeline.nowMs;
    const delayMs = wiring.network.delayMs(from, to);
    const atMs = Math.max(nowMs + delayMs, this.#lastMs[direction]);
    this.#lastMs[direction] = atMs;
    client.timeline.after(atMs - nowMs, () =>
      receiver.enter(() => {
        if (isUp ? !this.#isOverAtReplica : !this.#isOverAtClient) arrive();
      }),
    );
  }
}

/** Which of a message's kinds it is: no sizes, since those of signatures differ from run to run. */
function kindOf(message: Message | null): string {
  const { kind } = (message ?? {}) as { kind?: { case?: string } };
  return kind?.case ?? '';
}

/** As the listener and connect-node together make it: code, reason, facts. */
function connectErrorOf(error: unknown): ConnectError {
  const failure =
    error instanceof RpcError
      ? error
      : new RpcError('INTERNAL', 'INTERNAL', 'handling the call: something went wrong here');
  return new ConnectError(failure.message, status[failure.code] as number, undefined, [
    {
      desc: ErrorInfoSchema,
      value: {
        reason: failure.reason,
        domain: 'gap-junction',
        metadata: { ...failure.metadata },
      },
    },
  ]);
}
