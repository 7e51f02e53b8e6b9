import { X509Certificate, type KeyObject } from 'node:crypto';
import { serialHex } from '../../protocol/identity/serial.ts';
import { splitChain } from '../bills/certificate-chains.ts';

/** Certificates kept after parsing: those of the nodes that hand in receipts often. */
const MAX_KEPT = 1_000;

export interface NodeKey {
  readonly publicKey: KeyObject;
  /** As Revocations knows it. */
  readonly serial: string;
  readonly expiresAtMs: number;
}

/** The keys that receipts are signed under, read from the chains that were kept with their orders. */
export class NodeKeys {
  readonly #parsed = new Map<string, NodeKey>();

  keyOf(chain: { readonly chainDigest: Uint8Array; readonly certificates: Uint8Array }): NodeKey {
    const name = Buffer.from(chain.chainDigest).toString('base64');
    const kept = this.#parsed.get(name);
    if (kept !== undefined) return kept;
    const leaf = splitChain(chain.certificates)[0];
    if (leaf === undefined) throw new Error("reading a node's certificate chain: it is empty");
    const { publicKey, serialNumber, validTo } = new X509Certificate(leaf);
    const key = { publicKey, serial: serialHex(serialNumber), expiresAtMs: Date.parse(validTo) };
    if (this.#parsed.size >= MAX_KEPT) this.#parsed.clear();
    this.#parsed.set(name, key);
    return key;
  }
}
