// Runs one call of a method that is served frame by frame. Nothing waits here but for the wire: at any time
// one request is read, or one answer is on its way.
import type { Metadata, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { Call } from './call.ts';
import { malformed } from './error.ts';
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
  const read = (): void => {
    if (!call.ended) wire.startRead();
  };
  const succeed = (): void => call.succeed();
  const fail = (error: unknown): void => call.fail(error);
  const send = ({ bytes, isLast }: FrameAnswer): void => {
    if (call.ended) return;
    const { buffer, byteOffset, length } = bytes;
    const message = Buffer.isBuffer(bytes) ? bytes : Buffer.from(buffer, byteOffset, length);
    wire.sendMessage(message, isLast ? succeed : read);
  };
  const begin = (opened: FrameStream): void => {
    stream = opened;
    send({ bytes: opened.greeting, isLast: false });
  };
  const readFrame = (bytes: Buffer): unknown => {
    try {
      return handler.read(bytes);
    } catch (cause) {
      throw malformed(method.path, 'its bytes are no such message', cause);
    }
  };
  wire.start({
    onReceiveMetadata(metadata: Metadata) {
      call = newCall(metadata, onEnd);
      admit(call, interceptors)
        .then(() => handler.open(call, fail))
        .then(begin)
        .catch(fail);
    },
    onReceiveMessage(bytes: Buffer) {
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
    onReceiveHalfClose() {
      call.succeed();
    },
    onCancel() {
      call.cancel();
    },
  });
}
