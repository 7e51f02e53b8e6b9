// What tells whether two replicas have the same keys, and nothing about the keys.
import { createHash, createHmac } from 'node:crypto';
import type { Secrets } from './secrets.ts';

/** SHA-256, 32 bytes, by the key's name: that of its file. */
export type KeyDigests = Readonly<Record<string, Uint8Array>>;

/** Nothing else is ever computed over this text, so what comes of it opens nothing. */
const LABEL = Buffer.from('gap-junction/key-digest/1');

/**
 * Of the keys that have to be the same on all replicas. The intermediate is none of them: one issued anew
 * under the root is as good.
 */
export async function keyDigestsOf(secrets: Secrets): Promise<KeyDigests> {
  const { authority, signer, heartbeatMaster, isolationSecret } = secrets;
  return {
    root: sha256(authority.rootCertificate),
    signer: signer.keyId,
    'heartbeat-master': sha256(await heartbeatMaster.hmac(LABEL)),
    isolation: sha256(createHmac('sha256', isolationSecret).update(LABEL).digest()),
  };
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}
