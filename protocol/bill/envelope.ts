// DSSE, version 1 (https://github.com/secure-systems-lab/dsse, protocol.md): what is signed is the type
// and the payload together, so a receipt can never be taken for a settlement; the payload travels as the
// exact bytes that were signed, and is decoded only after its signature was checked.

import { create } from '@bufbuild/protobuf';
import { verify, type KeyObject } from 'node:crypto';
import { EnvelopeSchema, type Envelope } from '#gen/gapjunction/job/v1/bill_pb';
import { keyIdOf } from '../identity/key-id.ts';
import { utf8 } from '../bytes.ts';
import { quoted } from './check-fields.ts';
import { sameBytes } from './digest.ts';
import { MAX_PAYLOAD_BYTES } from './strict-decode.ts';

/** The three documents that are signed, by the type that stands in their envelopes. */
export const PAYLOAD_TYPE = {
  workOrder: 'application/vnd.gap-junction.work-order.v1+protobuf',
  receipt: 'application/vnd.gap-junction.receipt.v1+protobuf',
  settlement: 'application/vnd.gap-junction.settlement.v1+protobuf',
} as const;

export type PayloadType = (typeof PAYLOAD_TYPE)[keyof typeof PAYLOAD_TYPE];

/** ECDSA P-256 in the form of IEEE P1363: r and s, 32 bytes each. */
export const SIGNATURE_BYTES = 64;

export interface Signer {
  /** SHA-256 of the DER SubjectPublicKeyInfo, 32 bytes. */
  readonly keyId: Uint8Array;
  /** ECDSA P-256 with SHA-256 over the message, IEEE P1363, 64 bytes. */
  readonly sign: (message: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}

/** `"DSSEv1" SP len(type) SP type SP len(payload) SP payload`, lengths in decimal ASCII. */
export function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = utf8(payloadType);
  return Buffer.concat([
    utf8(`DSSEv1 ${type.length} `),
    type,
    utf8(` ${payload.length} `),
    payload,
  ]);
}

/** Signs the payload's bytes as they are. Throws when the signer answers no 64 bytes. */
export async function signEnvelope({
  payloadType,
  payload,
  signer,
}: {
  readonly payloadType: PayloadType;
  readonly payload: Uint8Array;
  readonly signer: Signer;
}): Promise<Envelope> {
  const signature = await signer.sign(preAuthenticationEncoding(payloadType, payload));
  if (signature.length !== SIGNATURE_BYTES) {
    throw new RangeError(
      `Signing a payload of type "${payloadType}" answered ${signature.length} bytes instead of ${SIGNATURE_BYTES}`,
    );
  }
  return create(EnvelopeSchema, { payloadType, payload, signature, keyId: signer.keyId });
}

export type EnvelopeVerdict =
  | { readonly ok: true; readonly payload: Uint8Array }
  | { readonly ok: false; readonly problem: string };

/**
 * The payload, when the envelope is of this type and was signed by this ECDSA P-256 key. Never throws on
 * any envelope.
 */
export function verifyEnvelope(
  envelope: Envelope,
  { payloadType, publicKey }: { readonly payloadType: PayloadType; readonly publicKey: KeyObject },
): EnvelopeVerdict {
  if (envelope.payloadType !== payloadType) {
    return refuse(`its type is ${quoted(envelope.payloadType)}, not "${payloadType}"`);
  }
  if (envelope.payload.length > MAX_PAYLOAD_BYTES) {
    return refuse(
      `its payload has ${envelope.payload.length} bytes, more than ${MAX_PAYLOAD_BYTES}`,
    );
  }
  if (envelope.signature.length !== SIGNATURE_BYTES) {
    return refuse(`its signature has ${envelope.signature.length} bytes, not ${SIGNATURE_BYTES}`);
  }
  const keyId = keyIdOf(publicKey);
  if (keyId === null) return refuse('the signer has no ECDSA P-256 key');
  if (!sameBytes(envelope.keyId, keyId)) return refuse('its key id names another key');
  const signed = verify(
    'sha256',
    preAuthenticationEncoding(payloadType, envelope.payload),
    { key: publicKey, dsaEncoding: 'ieee-p1363' },
    envelope.signature,
  );
  return signed ? { ok: true, payload: envelope.payload } : refuse('the signature does not verify');
}

function refuse(problem: string): EnvelopeVerdict {
  return { ok: false, problem };
}
