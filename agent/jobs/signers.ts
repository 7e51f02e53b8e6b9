// Whose orders and settlements a node believes: the control plane's signer, under a chain to the pinned
// root. Every order carries the same chain, so a verdict is kept for a minute: an order costs one
// signature check instead of three.
import type { KeyObject, X509Certificate } from 'node:crypto';

import { digestOf } from '../../protocol/bill/digest.ts';
import { problemOfControlPlaneSigner } from '../../protocol/bill/verify-document.ts';
import { spiffeNameOf } from '../../protocol/identity/certificate.ts';
import { verifyChain } from '../../protocol/identity/chain.ts';

export interface KnownSigner {
  readonly publicKey: KeyObject;
}

export type SignerVerdict =
  | { readonly ok: true; readonly signer: KnownSigner }
  | { readonly ok: false; readonly problem: string };

/** Certificates that start or end are noticed within this time. */
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

  /**
   * Whether this chain (DER, leaf first, the root left off) is the control plane's signer at `atMs` (Unix
   * milliseconds): now for an order, its own time for a settlement.
   */
  check(chain: readonly Uint8Array[], atMs: number): SignerVerdict {
    const name = Buffer.from(digestOf(...chain)).toString('base64');
    const known = this.#known.get(name);
    if (known !== undefined && Math.abs(atMs - known.checkedMs) < VERDICT_LIFE_MS) {
      return { ok: true, signer: known.signer };
    }
    const verdict = this.#judge(chain, atMs);
    this.#known.delete(name);
    if (verdict.ok) {
      const [oldest] = this.#known.keys();
      if (this.#known.size >= MAX_KNOWN_SIGNERS && oldest !== undefined) this.#known.delete(oldest);
      this.#known.set(name, { signer: verdict.signer, checkedMs: atMs });
    }
    return verdict;
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
    return { ok: true, signer: { publicKey: leaf.x509.publicKey } };
  }
}

function refuse(problem: string): SignerVerdict {
  return { ok: false, problem };
}
