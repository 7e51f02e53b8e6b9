import { digest } from '../../protocol/bill/digest.ts';
import type { Store } from '../store/store.ts';
import { insertChain } from './bill-store.ts';

/** Chains remembered as stored; a fleet renews some thousands a day, and forgetting one costs a statement. */
const MAX_REMEMBERED = 10_000;

/** Keeps each certificate chain once, however many bills refer to it. */
export class CertificateChains {
  readonly #store: Store;
  readonly #stored = new Set<string>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Stores the chain (DER, leaf first) unless it is, and answers the digest that bills name it by. */
  async keep(chain: readonly Uint8Array[]): Promise<Uint8Array> {
    const certificates = joinChain(chain);
    const chainDigest = digest(certificates);
    const name = Buffer.from(chainDigest).toString('hex');
    if (!this.#stored.has(name)) {
      await this.#store.transaction((em) => insertChain(em, { chainDigest, certificates }));
      if (this.#stored.size >= MAX_REMEMBERED) this.#stored.clear();
      this.#stored.add(name);
    }
    return chainDigest;
  }
}

/** Each certificate after its length in 4 bytes, big-endian. */
export function joinChain(chain: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    chain.flatMap((certificate) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(certificate.length);
      return [length, certificate];
    }),
  );
}

/** The exact inverse of joinChain. Throws a RangeError for bytes that it did not make. */
export function splitChain(joined: Uint8Array): Uint8Array[] {
  const view = new DataView(joined.buffer, joined.byteOffset, joined.byteLength);
  const chain: Uint8Array[] = [];
  let offset = 0;
  while (offset < joined.length) {
    const start = offset + 4;
    const end = start <= joined.length ? start + view.getUint32(offset) : Infinity;
    if (end > joined.length) {
      throw new RangeError(`reading a certificate chain of ${joined.length} bytes: it is cut off`);
    }
    chain.push(joined.subarray(start, end));
    offset = end;
  }
  return chain;
}
