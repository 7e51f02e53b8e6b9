// Names of nodes, clients, operators, jobs and attempts. An id is opaque: nothing is read out of it but
// what kind of thing it names.

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** Characters after the prefix, 5 bits each: 100 bits, so that 2^40 ids meet with chance 2^-21. */
const ID_CHARACTERS = 20;

/** 100 bits round up to 13 bytes; the last four bits of the last are not used. */
const ID_RANDOM_BYTES = 13;

/** n: node, c: client, o: operator, j: job, a: attempt. */
export type IdKind = 'n' | 'c' | 'o' | 'j' | 'a';

const FORM: Readonly<Record<IdKind, RegExp>> = {
  n: /^n-[a-z2-7]{20}$/,
  c: /^c-[a-z2-7]{20}$/,
  o: /^o-[a-z2-7]{20}$/,
  j: /^j-[a-z2-7]{20}$/,
  a: /^a-[a-z2-7]{20}$/,
};

/**
 * A new id: the kind's letter, `-`, and 20 characters of lower-case base32 (RFC 4648, section 6).
 * `random` answers so many cryptographically random bytes.
 */
export function makeId(kind: IdKind, random: (bytes: number) => Uint8Array): string {
  const bits = random(ID_RANDOM_BYTES);
  if (bits.length !== ID_RANDOM_BYTES) {
    throw new RangeError(
      `Making an id needs ${ID_RANDOM_BYTES} random bytes, the source answered ${bits.length}`,
    );
  }
  let text = `${kind}-`;
  for (let character = 0; character < ID_CHARACTERS; character++) {
    const bit = character * 5;
    const byte = bit >> 3;
    const pair = ((bits[byte] ?? 0) << 8) | (bits[byte + 1] ?? 0);
    text += ALPHABET[(pair >> (11 - (bit & 7))) & 31];
  }
  return text;
}

/** Whether the text is an id of this kind. Takes text of any length. */
export function isId(kind: IdKind, text: string): boolean {
  return FORM[kind].test(text);
}
