// Runs one call: headers, interceptors, request messages, handler, responses, status.
//
// It works on grpc-js's call interface below the streams, because there a message is read when it is
// wanted and not before (a Duplex reads 16 ahead, 64 MiB at our message size), a call can be ended at
// once, and a beat costs half.
import { create, type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { Metadata, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { Call } from './call.ts';
import { malformed, RpcError } from './error.ts';
import { admit, type Interceptor } from './interceptor.ts';
import type { ServedMethod } from './method.ts';
import { Requests } from './requests.ts';
import { serveFrames } from './serve-frames.ts';
import type { CallContext } from './service.ts';

type UnaryHandler = (request: Message, context: CallContext) => Promise<object>;
type ServerStreamingHandler = (request: Message, context: CallContext) => AsyncIterable<object>;
type ClientStreamingHandler = (
  requests: AsyncIterable<Message>,
  context: CallContext,
) => Promise<object>;
type BiDiHandler = (
  requests: AsyncIterable<Message>,
  context: CallContext,
) => AsyncIterable<object>;

export interface ServeOptions {
  readonly method: ServedMethod;
  readonly interceptors: readonly Interceptor[];
  readonly now: () => number;
  readonly newCall: (metadata: Metadata, onEnd: (call: Call, error: unknown) => void) => Call;
}

/** Takes the call over from grpc-js. */
export function serve(wire: ServerInterceptingCallInterface, options: ServeOptions): void {
  const { frames } = options.method;
  if (frames !== null) serveFrames(wire, frames, options);
  else if (options.method.descriptor.methodKind === 'unary') serveOneRequest(wire, options);
  else if (options.method.descriptor.methodKind === 'server_streaming') {
    serveOneRequest(wire, options);
  } else serveManyRequests(wire, options);
}

function serveOneRequest(wire: ServerInterceptingCallInterface, options: ServeOptions): void {
  const { method } = options;
  let call: Call;
  let body: Buffer | null = null;
  const writer = new Writer(wire, method.descriptor.output);
  const onEnd = (ended: Call, error: unknown): void => {
    writer.stop();
    for (const interceptor of options.interceptors) interceptor.onEnd?.(ended, error);
  };
  wire.start({
    onReceiveMetadata(metadata: Metadata) {
      call = options.newCall(metadata, onEnd);
      call.awaitingRequestSinceMs = call.startedMs;
      admit(call, options.interceptors).then(
        () => wire.startRead(),
        (error: unknown) => call.fail(error),
      );
    },
    onReceiveMessage(bytes: Buffer) {
      if (call.ended) return;
      if (body !== null) {
        call.fail(malformed(method.path, 'it has more than one message'));
        return;
      }
      body = bytes;
      wire.startRead();
    },
    onReceiveHalfClose() {
      if (call.ended) return;
      call.awaitingRequestSinceMs = null;
      if (body === null) {
        call.fail(malformed(method.path, 'it has no message'));
        return;
      }
      const bytes = body;
      body = null;
      answerOne(call, bytes, writer, options).then(
        () => call.succeed(),
        (error: unknown) => call.fail(error),
      );
    },
    onCancel() {
      call.cancel();
    },
  });
}

async function answerOne(
  call: Call,
  bytes: Buffer,
  writer: Writer,
  options: ServeOptions,
): Promise<void> {
  const request = decode(call, bytes, options.interceptors);
  const { descriptor, handler } = options.method;
  if (descriptor.methodKind === 'unary') {
    const response = await (handler as UnaryHandler)(request, call);
    if (!call.ended) writer.send(response);
    return;
  }
  await writeAll(call, writer, (handler as ServerStreamingHandler)(request, call));
}

function serveManyRequests(wire: ServerInterceptingCallInterface, options: ServeOptions): void {
  const { method, interceptors } = options;
  let call: Call;
  const writer = new Writer(wire, method.descriptor.output);
  const requests = new Requests(wire, (awaiting) => {
    call.awaitingRequestSinceMs = awaiting && !call.ended ? options.now() : null;
  });
  const onEnd = (ended: Call, error: unknown): void => {
    writer.stop();
    requests.end(error ?? cancelled(method));
    for (const interceptor of interceptors) interceptor.onEnd?.(ended, error);
  };
  wire.start({
    onReceiveMetadata(metadata: Metadata) {
      call = options.newCall(metadata, onEnd);
      admit(call, interceptors)
        .then(() => answerMany(call, requests, writer))
        .then(
          () => call.succeed(),
          (error: unknown) => call.fail(error),
        );
    },
    onReceiveMessage(bytes: Buffer) {
      if (call.ended) return;
      try {
        requests.push(decode(call, bytes, interceptors));
      } catch (error) {
        call.fail(error);
      }
    },
    onReceiveHalfClose() {
      requests.end(null);
    },
    onCancel() {
      call.cancel();
    },
  });
}

async function answerMany(call: Call, requests: Requests, writer: Writer): Promise<void> {
  if (call.ended) return;
  const { descriptor, handler } = call.method;
  if (descriptor.methodKind === 'client_streaming') {
    const response = await (handler as ClientStreamingHandler)(requests, call);
    if (!call.ended) writer.send(response);
    return;
  }
  await writeAll(call, writer, (handler as BiDiHandler)(requests, call));
}

function decode(call: Call, bytes: Buffer, interceptors: readonly Interceptor[]): Message {
  let message: Message;
  try {
    message = fromBinary(call.method.descriptor.input, bytes);
  } catch (cause) {
    throw malformed(call.method.path, 'its bytes are no such message', cause);
  }
  for (const interceptor of interceptors) interceptor.onRequest?.(call, message);
  return message;
}

/** Pulls the next response when the one before has left, and tells the handler to stop once nobody reads. */
async function writeAll(
  call: Call,
  writer: Writer,
  responses: AsyncIterable<object>,
): Promise<void> {
  for await (const response of responses) {
    if (call.ended) return;
    await writer.write(response);
    if (call.ended) return;
  }
}

/** Writes responses one after the other. */
class Writer {
  readonly #wire: ServerInterceptingCallInterface;
  readonly #schema: DescMessage;
  #written: (() => void) | null = null;
  #stopped = false;

  constructor(wire: ServerInterceptingCallInterface, schema: DescMessage) {
    this.#wire = wire;
    this.#schema = schema;
  }

  /** Throws where the handler's answer is no such message. */
  send(response: object, onWritten: () => void = () => undefined): void {
    const bytes = toBinary(this.#schema, create(this.#schema, response as never));
    if (this.#stopped) onWritten();
    else
      this.#wire.sendMessage(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), onWritten);
  }

  /** Resolves when the message has left for the socket, or the call is over. */
  async write(response: object): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#written = resolve;
    this.send(response, resolve);
    await promise;
  }

  /** grpc-js forgets the callback of a message when its call ends. */
  stop(): void {
    this.#stopped = true;
    this.#written?.();
  }
}

function cancelled(method: ServedMethod): RpcError {
  return new RpcError('CANCELLED', 'CANCELLED', `calling ${method.path}: the call is over`);
}
