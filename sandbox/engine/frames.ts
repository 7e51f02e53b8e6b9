// Frames on the pipe between agent and sandbox: a 4-byte big-endian length of what follows, one byte of
// kind, a 4-byte length of a JSON header, the header, and raw bytes that the header divides up.
import type { Writable } from 'node:stream';

/** 64 KiB: a header is a handful of numbers and one reason. */
export const MAX_HEADER_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;
const PREFIX_BYTES = 5;

export interface Frame {
  readonly kind: number;
  readonly header: unknown;
  readonly body: Uint8Array;
}

/** The other side of the pipe does not speak this protocol. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** Writes one frame; the body in the given parts, which must not change until they are written. */
export function writeFrame(
  stream: Writable,
  frame: { kind: number; header: object; parts?: readonly Uint8Array[] },
): void {
  const header = new TextEncoder().encode(JSON.stringify(frame.header));
  const parts = frame.parts ?? [];
  const bodyBytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const head = Buffer.allocUnsafe(LENGTH_BYTES + PREFIX_BYTES + header.byteLength);
  head.writeUInt32BE(PREFIX_BYTES + header.byteLength + bodyBytes, 0);
  head.writeUInt8(frame.kind, LENGTH_BYTES);
  head.writeUInt32BE(header.byteLength, LENGTH_BYTES + 1);
  head.set(header, LENGTH_BYTES + PREFIX_BYTES);
  stream.cork();
  stream.write(head);
  for (const part of parts) if (part.byteLength > 0) stream.write(part);
  stream.uncork();
}

/** Puts frames together from chunks. Nothing is kept of a frame that is larger than it may be. */
export class FrameReader {
  readonly #maxBodyBytes: () => number;
  #length = Buffer.alloc(LENGTH_BYTES);
  #lengthRead = 0;
  #frame: Buffer | null = null;
  #frameRead = 0;

  /** @param maxBodyBytes bound on the body of the next frame, asked for at its beginning */
  constructor(maxBodyBytes: () => number) {
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** Answers the frames that `chunk` completes; throws FrameError for what is none. */
  push(chunk: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#frame === null) {
        const part = chunk.subarray(at, at + LENGTH_BYTES - this.#lengthRead);
        this.#length.set(part, this.#lengthRead);
        this.#lengthRead += part.byteLength;
        at += part.byteLength;
        if (this.#lengthRead === LENGTH_BYTES) this.#begin();
      } else {
        const part = chunk.subarray(at, at + this.#frame.byteLength - this.#frameRead);
        this.#frame.set(part, this.#frameRead);
        this.#frameRead += part.byteLength;
        at += part.byteLength;
        if (this.#frameRead === this.#frame.byteLength) frames.push(this.#finish(this.#frame));
      }
    }
    return frames;
  }

  #begin(): void {
    const length = this.#length.readUInt32BE();
    const most = PREFIX_BYTES + MAX_HEADER_BYTES + this.#maxBodyBytes();
    if (length < PREFIX_BYTES || length > most) {
      throw new FrameError(`A frame of ${length} bytes is not between ${PREFIX_BYTES} and ${most}`);
    }
    this.#lengthRead = 0;
    this.#frame = Buffer.allocUnsafeSlow(length);
    this.#frameRead = 0;
  }

  #finish(frame: Buffer): Frame {
    this.#frame = null;
    const headerBytes = frame.readUInt32BE(1);
    const headerEnd = PREFIX_BYTES + headerBytes;
    if (headerBytes > MAX_HEADER_BYTES || headerEnd > frame.byteLength) {
      throw new FrameError(`A header of ${headerBytes} bytes does not fit its frame`);
    }
    let header: unknown;
    try {
      header = JSON.parse(frame.toString('utf8', PREFIX_BYTES, headerEnd));
    } catch (error) {
      throw new FrameError('A header is not JSON', { cause: error });
    }
    // Not a Buffer, whose slice() is another than that of the Uint8Array that callers are promised.
    const body = new Uint8Array(
      frame.buffer,
      frame.byteOffset + headerEnd,
      frame.byteLength - headerEnd,
    );
    return { kind: frame.readUInt8(0), header, body };
  }
}
