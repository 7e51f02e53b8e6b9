// Whose orders and settlements a node believes: the control plane's signer, under a chain to the pinned
// root. Every order carries the same chain, so a verdict is kept for a minute: an order costs one
// signature check instead of three.
import type { KeyObject, X509Certificate } from 'node:crypto';

import { digestOf } from '../../protocol/bill/digest.ts';
import { problemOfControlPlaneSigner } from '../../protocol/bill/verify-document.ts';
import { spiffeNameOf } from '../../protocol/identity/certificate.ts';
import { verifyChain } from '../../protocol/identity/chain.ts';

export interface KnownSigner {
  /** SHA-256 of the signer's SubjectPublicKeyInfo. */
  readonly keyId: Uint8Array;
  readonly publicKey: KeyObject;
  /** DER, leaf first, the root left off. */
  readonly chain: readonly Uint8Array[];
}

export type SignerVerdict =
  | { readonly ok: true; readonly signer: KnownSigner }
  | { readonly ok: false; readonly problem: string };

/** Certificates that end are noticed within this time. */
const VERDICT_LIFE_MS = 60_000;
/** A signer is replaced once in months; this bounds what a hostile server can make us keep. */
const MAX_KNOWN_SIGNERS = 16;

export class Signers {
  readonly #root: X509Certificate;
  readonly #trustDomain: string;
  readonly #known = new Map<string, { readonly signer: KnownSigner; readonly checkedMs: number }>();

  constructor(trust: { readonly root: X509Certificate; readonly trustDomain: string }) {
    this.#root = trust.root;
    this.#trustDomain = trust.trustDomain;
  }

  /** Whether this chain (DER, leaf first) is the control plane's signer at `now` (Unix milliseconds). */
  check(chain: readonly Uint8Array[], now: number): SignerVerdict {
    const name = Buffer.from(digestOf(...chain)).toString('base64');
    const known = this.#known.get(name);
    const ageMs = known === undefined ? Infinity : now - known.checkedMs;
    if (known !== undefined && ageMs >= 0 && ageMs < VERDICT_LIFE_MS) {
      return { ok: true, signer: known.signer };
    }
    const verdict = this.#judge(chain, now);
    this.#known.delete(name);
    if (verdict.ok) {
      const [oldest] = this.#known.keys();
      if (this.#known.size >= MAX_KNOWN_SIGNERS && oldest !== undefined) this.#known.delete(oldest);
      this.#known.set(name, { signer: verdict.signer, checkedMs: now });
    }
    return verdict;
  }

  /** A signer that an order was accepted under, by its key id. */
  find(keyId: Uint8Array): KnownSigner | null {
    for (const { signer } of this.#known.values()) {
      if (Buffer.compare(signer.keyId, keyId) === 0) return signer;
    }
    return null;
  }

  #judge(chain: readonly Uint8Array[], atMs: number): SignerVerdict {
    const verdict = verifyChain({ chain, root: this.#root, atMs });
    if (!verdict.ok) return verdict;
    const { leaf } = verdict;
    const name = spiffeNameOf(leaf);
    if (name === null) return refuse('the certificate has not exactly one name of ours');
    if (name.trustDomain !== this.#trustDomain) {
      return refuse(`the signer belongs to '${name.trustDomain}', not '${this.#trustDomain}'`);
    }
    const problem = problemOfControlPlaneSigner(name, leaf);
    if (problem !== null) return refuse(problem);
    return { ok: true, signer: { keyId: leaf.keyId, publicKey: leaf.x509.publicKey, chain } };
  }
}

function refuse(problem: string): SignerVerdict {
  return { ok: false, problem };
}
