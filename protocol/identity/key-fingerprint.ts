/**
 * How a person compares two keys, on the return page and at the agent: the first 16 bytes of the key id
 * (SHA-256 of its SubjectPublicKeyInfo) in hex, in groups of four.
 */
export function keyFingerprint(keyId: Uint8Array): string {
  const hex = Buffer.from(keyId.subarray(0, 16)).toString('hex');
  return hex.match(/.{4}/g)?.join(' ') ?? hex;
}
