import { hash, type KeyObject } from 'node:crypto';

/** Keys do not change, and every signature is checked against the id of one: exporting it costs as much. */
const known = new WeakMap<KeyObject, Uint8Array>();

/**
 * SHA-256 of the key's DER SubjectPublicKeyInfo, 32 bytes: how keys are named in envelopes and orders.
 * Null for every key but a public ECDSA P-256 one, the only kind that signs for us.
 */
export function keyIdOf(publicKey: KeyObject): Uint8Array | null {
  if (publicKey.type !== 'public' || publicKey.asymmetricKeyType !== 'ec') return null;
  if (publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return null;
  let keyId = known.get(publicKey);
  if (keyId === undefined) {
    keyId = hash('sha256', publicKey.export({ type: 'spki', format: 'der' }), 'buffer');
    known.set(publicKey, keyId);
  }
  return keyId;
}
