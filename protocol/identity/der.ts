// Reads DER (ITU-T X.690): definite, minimal lengths only, every read within its element. There is no
// recursion: a caller opens the elements that it expects, one by one.

/** The tags that certificates need, constructed and context-specific ones with their bits. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  sequence: 0x30,
  /** [0] to [3] constructed. */
  context0: 0xa0,
  context3: 0xa3,
} as const;

/** No element of a certificate is longer than its bound of 8 KiB, so two length bytes suffice. */
const MAX_LENGTH_BYTES = 2;

/** An arc of an object identifier that holds a UUID has 128 bits: 19 bytes of 7 bits. */
const MAX_ARC_BYTES = 19;

/** Bytes that are not DER, or not the DER that was expected. The message tells the offset. */
export class MalformedDer extends Error {
  override readonly name = 'MalformedDer';
}

export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  /** The whole element: tag, length and content. */
  readonly bytes: Uint8Array;
}

/** A cursor over the elements that stand one after the other in these bytes. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  /** The next element, whatever it is. */
  next(): DerElement {
    const start = this.#offset;
    const tag = this.#byte();
    if ((tag & 0x1f) === 0x1f) throw new MalformedDer(`A long tag stands at offset ${start}`);
    const length = this.#length();
    const from = this.#offset;
    if (length > this.#bytes.length - from) {
      throw new MalformedDer(`The element at offset ${start} ends after its container`);
    }
    this.#offset = from + length;
    return {
      tag,
      content: this.#bytes.subarray(from, this.#offset),
      bytes: this.#bytes.subarray(start, this.#offset),
    };
  }

  /** The next element, which must have this tag. */
  expect(tag: number): DerElement {
    const offset = this.#offset;
    const element = this.next();
    if (element.tag !== tag) {
      throw new MalformedDer(
        `Tag 0x${element.tag.toString(16)} stands at offset ${offset}, where 0x${tag.toString(16)} is expected`,
      );
    }
    return element;
  }

  /** The next element when it has this tag; null, and nothing is read, when it has not. */
  optional(tag: number): DerElement | null {
    return !this.atEnd && this.#bytes[this.#offset] === tag ? this.next() : null;
  }

  /** Throws unless everything was read. */
  end(): void {
    if (!this.atEnd) throw new MalformedDer(`Bytes are left over at offset ${this.#offset}`);
  }

  #byte(): number {
    const byte = this.#bytes[this.#offset];
    if (byte === undefined) throw new MalformedDer(`The bytes end at offset ${this.#offset}`);
    this.#offset++;
    return byte;
  }

  #length(): number {
    const offset = this.#offset;
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > MAX_LENGTH_BYTES) {
      throw new MalformedDer(`The length at offset ${offset} has ${count} bytes`);
    }
    let length = 0;
    for (let index = 0; index < count; index++) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (count - 1)) {
      throw new MalformedDer(`The length at offset ${offset} is not minimal`);
    }
    return length;
  }
}

/** The object identifier in dotted form, from the content of its element. */
export function dottedOid(content: Uint8Array): string {
  const arcs: bigint[] = [];
  let arc = 0n;
  let bytes = 0;
  for (const byte of content) {
    if (bytes === 0 && byte === 0x80) throw new MalformedDer('An object identifier is not minimal');
    if (++bytes > MAX_ARC_BYTES)
      throw new MalformedDer('An object identifier has an arc too large');
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0n;
      bytes = 0;
    }
  }
  const [first, ...rest] = arcs;
  if (first === undefined || bytes > 0) throw new MalformedDer('An object identifier is cut off');
  const top = first < 80n ? first / 40n : 2n;
  return [top, first - top * 40n, ...rest].join('.');
}
