// Runs one call of a method that is served frame by frame. At any time one request is with its handler, or
// one answer on its way.
import type { Metadata, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { Call } from './call.ts';
import { malformed, RpcError } from './error.ts';
import { FrameWire, type FrameListener } from './frame-wire.ts';
import type { FrameAnswer, FrameHandler, FrameStream } from './frames.ts';
import { admit } from './interceptor.ts';
import type { ServeOptions } from './serve.ts';

/** Takes the call over from grpc-js. */
export function serveFrames(
  wire: ServerInterceptingCallInterface,
  handler: FrameHandler,
  { method, interceptors, newCall }: ServeOptions,
): void {
  let call: Call;
  let stream: FrameStream;
  const judges = interceptors.filter((one) => one.onRequest !== undefined);
  const onEnd = (ended: Call, error: unknown): void => {
    for (const interceptor of interceptors) interceptor.onEnd?.(ended, error);
  };
  const fail = (error: unknown): void => call.fail(error);
  const readFrame = (bytes: Buffer): unknown => {
    try {
      return handler.read(bytes);
    } catch (cause) {
      throw malformed(method.path, 'its bytes are no such message', cause);
    }
  };
  const send = ({ bytes, isLast }: FrameAnswer): void => {
    if (call.ended) return;
    frames.send(bytes);
    if (isLast) call.succeed();
  };
  const listener: FrameListener = {
    onFrame(bytes) {
      if (call.ended) return;
      try {
        const frame = readFrame(bytes);
        for (const judge of judges) judge.onRequest?.(call, null);
        const answer = stream.answer(frame);
        if (answer instanceof Promise) answer.then(send, fail);
        else send(answer);
      } catch (error) {
        call.fail(error);
      }
    },
    onUnreadable: (why) => call.fail(unreadable(method.path, why, handler.maxFrameBytes)),
    onHalfClose: () => call.succeed(),
  };
  const frames = new FrameWire(wire, handler.maxFrameBytes, listener);
  const begin = (opened: FrameStream): void => {
    if (call.ended) return;
    stream = opened;
    frames.begin(opened.greeting);
  };
  wire.start({
    onReceiveMetadata(metadata: Metadata) {
      call = newCall(metadata, onEnd);
      admit(call, interceptors)
        .then(() => handler.open(call, fail))
        .then(begin)
        .catch(fail);
    },
    onReceiveMessage() {
      // They are read below it.
    },
    onReceiveHalfClose: () => frames.halfClose(),
    onCancel() {
      call.cancel();
    },
  });
}

function unreadable(
  path: string,
  why: 'compressed' | 'too long' | 'cut off',
  maxFrameBytes: number,
): RpcError {
  switch (why) {
    case 'compressed':
      return new RpcError(
        'UNIMPLEMENTED',
        'COMPRESSED_REQUEST',
        `reading the request of ${path}: it is compressed; send it as it is`,
      );
    case 'too long':
      return new RpcError(
        'RESOURCE_EXHAUSTED',
        'REQUEST_TOO_LONG',
        `reading the request of ${path}: it has more than ${maxFrameBytes} bytes`,
      );
    case 'cut off':
      return malformed(path, 'its last message is not whole');
    default:
      return why satisfies never;
  }
}
