// One signed document of a bill: its certificate, who that speaks for, the signature, and only then the
// content.

import type { KeyObject } from 'node:crypto';
import type { Envelope } from '#gen/gapjunction/job/v1/bill_pb';
import { SIGNING_EKU_OID, spiffeNameOf, type Certificate } from '../identity/certificate.ts';
import { MalformedDer } from '../identity/der.ts';
import { knownCertificate } from '../identity/known-certificate.ts';
import type { SpiffeName } from '../identity/spiffe.ts';
import { verifyEnvelope, type PayloadType } from './envelope.ts';
import type { CheckList } from './report.ts';
import { MalformedPayload } from './strict-decode.ts';

export interface SignedDocument<Content> {
  readonly payload: Uint8Array;
  readonly content: Content;
  readonly leaf: Certificate;
  readonly signer: SpiffeName;
}

/**
 * Notes `<name>.certificate`, `.signer`, `.signature`, `.content`; answers the document when all hold,
 * null when not. Does not judge the chain: its time is known when the settlement is read.
 */
export function verifyDocument<Content>({
  name,
  envelope,
  chain,
  payloadType,
  problemOfSigner,
  decode,
  checks,
}: {
  readonly name: string;
  readonly envelope: Envelope | undefined;
  readonly chain: readonly Uint8Array[];
  readonly payloadType: PayloadType;
  readonly problemOfSigner: (signer: SpiffeName, leaf: Certificate) => string | null;
  readonly decode: (payload: Uint8Array) => Content;
  readonly checks: CheckList;
}): SignedDocument<Content> | null {
  const steps = ['certificate', 'signer', 'signature', 'content'] as const;
  const stopAt = (step: (typeof steps)[number], problem: string): null => {
    checks.note(`${name}.${step}`, problem);
    for (const later of steps.slice(steps.indexOf(step) + 1)) {
      checks.skip(`${name}.${later}`, `${name}.${step} failed`);
    }
    return null;
  };

  const certificate = leafOf(chain);
  if (typeof certificate === 'string') return stopAt('certificate', certificate);
  const { leaf, publicKey } = certificate;
  checks.note(`${name}.certificate`, null);

  const signer = spiffeNameOf(leaf);
  if (signer === null) return stopAt('signer', 'the certificate has not exactly one name of ours');
  const problem = problemOfSigner(signer, leaf);
  if (problem !== null) return stopAt('signer', problem);
  checks.note(`${name}.signer`, null);

  if (envelope === undefined) return stopAt('signature', 'there is no envelope');
  const verdict = verifyEnvelope(envelope, { payloadType, publicKey });
  if (!verdict.ok) return stopAt('signature', verdict.problem);
  checks.note(`${name}.signature`, null);

  const content = contentOf(decode, verdict.payload);
  if (content instanceof MalformedPayload) return stopAt('content', content.message);
  checks.note(`${name}.content`, null);
  return { payload: verdict.payload, content, leaf, signer };
}

/** Orders and settlements: only the control plane's signer, by name and by extended key usage. */
export function problemOfControlPlaneSigner(
  { identity }: SpiffeName,
  { extendedKeyUsages }: Certificate,
): string | null {
  if (identity.role !== 'signer') {
    return `it was signed by a ${identity.role}; only the control plane's signer may`;
  }
  return extendedKeyUsages.includes(SIGNING_EKU_OID)
    ? null
    : 'the certificate has not the extended key usage for signing';
}

function leafOf(
  chain: readonly Uint8Array[],
): { readonly leaf: Certificate; readonly publicKey: KeyObject } | string {
  const [der] = chain;
  if (der === undefined) return 'there is no certificate';
  try {
    const leaf = knownCertificate(der);
    return { leaf, publicKey: leaf.x509.publicKey };
  } catch (cause) {
    return cause instanceof MalformedDer ? cause.message : 'its public key cannot be read';
  }
}

function contentOf<Content>(
  decode: (payload: Uint8Array) => Content,
  payload: Uint8Array,
): Content | MalformedPayload {
  try {
    return decode(payload);
  } catch (cause) {
    if (cause instanceof MalformedPayload) return cause;
    throw cause;
  }
}
