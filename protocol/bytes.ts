// The two ways in which bytes are joined before they are hashed.

/** `LP(x)`: an 8-byte big-endian length, and then x. */
export function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  const joined = new Uint8Array(8 + bytes.length);
  new DataView(joined.buffer).setBigUint64(0, BigInt(bytes.length));
  joined.set(bytes, 8);
  return joined;
}

/** The bytes of the text in UTF-8. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
