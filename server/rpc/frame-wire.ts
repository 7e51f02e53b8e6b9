// The HTTP/2 stream under one of grpc-js's calls, read and written message by message.
//
// grpc-js would copy each message three times, hand it on through a promise, and stop and start the stream
// around it: 14 us of CPU for a beat, a third of all. It keeps its metadata, deadline, end and status here;
// its `stream` is private, so the tests of frames hold us to the version that has it.
import type { ServerHttp2Stream } from 'node:http2';
import { Metadata, type ServerInterceptingCallInterface } from '@grpc/grpc-js';

/** A byte that says whether the message is compressed, and its length in four. */
const PREFIX_BYTES = 5;

const NOTHING = Buffer.alloc(0);

export interface FrameListener {
  /** The next message comes when this one is answered: when `send` was called, and it has left. */
  onFrame(bytes: Buffer): void;
  /** The next message cannot be read; none comes any more. */
  onUnreadable(why: 'compressed' | 'too long' | 'cut off'): void;
  /** There are no more, and all that came are answered. */
  onHalfClose(): void;
}

export class FrameWire {
  readonly #call: ServerInterceptingCallInterface;
  readonly #stream: ServerHttp2Stream;
  readonly #maxFrameBytes: number;
  readonly #listener: FrameListener;
  /** Came, and is not handed on. No longer than one message and one chunk. */
  #unread: Buffer = NOTHING;
  #isAnswering = false;
  #isHandingOn = false;
  #isHalfClosed = false;

  constructor(
    call: ServerInterceptingCallInterface,
    maxFrameBytes: number,
    listener: FrameListener,
  ) {
    this.#call = call;
    this.#stream = streamOf(call);
    this.#maxFrameBytes = maxFrameBytes;
    this.#listener = listener;
  }

  /** Sends the first message, and begins to read. */
  begin(greeting: Uint8Array): void {
    const headers = new Metadata();
    headers.set('grpc-accept-encoding', 'identity');
    this.#call.sendMetadata(headers);
    this.#isAnswering = true;
    // From here on grpc-js sees the end of the stream, not what it carries.
    this.#stream.removeAllListeners('data');
    this.#stream.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#call.startRead();
    this.send(greeting);
  }

  /** Answers the message that was handed on last. */
  send(message: Uint8Array): void {
    if (this.#stream.destroyed || this.#stream.closed) return;
    const { length } = message;
    const framed = Buffer.allocUnsafe(PREFIX_BYTES + length);
    framed[0] = 0;
    framed.writeUInt32BE(length, 1);
    framed.set(message, PREFIX_BYTES);
    // A peer that does not read its answers is not read either.
    if (this.#stream.write(framed)) this.#answered();
    else this.#stream.once('drain', () => this.#answered());
  }

  /** The caller closed its side. */
  halfClose(): void {
    this.#isHalfClosed = true;
    if (!this.#isAnswering) this.#end();
  }

  #take(chunk: Buffer): void {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    if (this.#isAnswering) this.#stream.pause();
    else this.#handOn();
  }

  #answered(): void {
    this.#isAnswering = false;
    // It was answered at once: whoever hands on goes on.
    if (this.#isHandingOn) return;
    this.#handOn();
    if (this.#isAnswering) return;
    if (this.#stream.isPaused()) this.#stream.resume();
    if (this.#isHalfClosed) this.#end();
  }

  #end(): void {
    if (this.#unread.length === 0) this.#listener.onHalfClose();
    else this.#listener.onUnreadable('cut off');
  }

  #handOn(): void {
    this.#isHandingOn = true;
    while (!this.#isAnswering && this.#unread.length >= PREFIX_BYTES) {
      const unread = this.#unread;
      const end = PREFIX_BYTES + unread.readUInt32BE(1);
      const isCompressed = unread[0] !== 0;
      if (isCompressed || end > PREFIX_BYTES + this.#maxFrameBytes) {
        this.#isAnswering = true;
        this.#listener.onUnreadable(isCompressed ? 'compressed' : 'too long');
      } else if (unread.length < end) {
        break;
      } else {
        this.#unread = unread.length === end ? NOTHING : unread.subarray(end);
        this.#isAnswering = true;
        this.#listener.onFrame(unread.subarray(PREFIX_BYTES, end));
      }
    }
    this.#isHandingOn = false;
  }
}

function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream {
  const { stream } = call as unknown as { readonly stream?: ServerHttp2Stream };
  if (stream === undefined) {
    throw new Error('serving frames: this version of @grpc/grpc-js keeps its stream elsewhere');
  }
  return stream;
}
